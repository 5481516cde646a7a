// Package explain answers one request as a worker would, without a socket, and
// says why the reply is as it is.
//
// It is no second server: [Run] gives the request to a [conn.Conn] with the
// files of a [site.Root], both asked to say their reasons, and plays the part
// of serve. What the connection would send becomes a [Report], in which each
// line of the reply stands with the rule that set it.
package explain

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// Report is a request, its reply and the reasons. Nothing in it is made
// harmless for a terminal; [Report.String] does that.
type Report struct {
	Request []string // the lines of its head
	Notes   []string // sentences on how the request came to be
	Interim string   // the status line of a reply before the reply, or empty
	Status  proto.Status
	Head    []byte // of the reply as the client gets it, with the empty line
	Lines   []Line // of Head, without the empty one
	Body    []string
	Bytes   int64 // of the body, as they go over the wire
	Steps   []Step
	Ends    string // what becomes of the connection
}

// Line is a line of the reply's head and the rule that set it.
type Line struct{ Text, Why string }

// Step is a decision: its subject and what it was.
type Step struct{ What, Why string }

// Unknown is the Why of a [Line] that nobody has explained, which is a bug.
const Unknown = "unknown: nothing has said where this comes from"

// Run answers the request at the time now. The configuration is a worker's and
// its Site reaches the files of root, which nobody else uses meanwhile. A
// request that a worker would refuse has a report too; an error is a
// [*exitcode.Error].
func Run(cfg conn.Config, root *site.Root, r Request, now time.Time) (Report, error) {
	head, err := r.wire()
	if err != nil {
		return Report{}, err
	}
	x := &exchange{root: root}
	root.Trace(x.finding)
	defer root.Trace(nil)
	clock := root.Now
	root.Now = func() time.Time { return now }
	defer func() { root.Now = clock }()
	cfg.Explain = x.heard.say
	x.now = conn.Now{Mono: time.Duration(now.Nanosecond()), Second: cfg.NewSecond(now.Unix())}
	x.conn = conn.New(&cfg, nil, x.now)
	defer x.conn.Abort("")
	step := x.give(head)
	for _, piece := range body(head) {
		if step != conn.Read || x.head != nil {
			break
		}
		step = x.give(piece)
	}
	if x.head == nil {
		return Report{}, errors.New("the request has no end that a server could see")
	}
	report := Report{
		Request: r.lines(), Notes: r.Notes, Interim: x.interim, Head: x.head, Lines: x.heard.lines(x.head),
		Body: x.parts(r.Method), Bytes: x.made, Steps: x.heard.steps, Ends: "It ends with this reply.",
	}
	for _, s := range x.segments {
		report.Bytes += s.Len
	}
	if code, err := strconv.Atoi(string(x.head[len("HTTP/1.1 "):][:3])); err == nil {
		report.Status = proto.Status(code)
	}
	if step == conn.Read {
		report.Ends = fmt.Sprintf("It stays open for the next request, for %v (--keepalive).", cfg.KeepAlive)
	}
	return report, nil
}

// body returns what follows a head that announces a body: as many zeros, or a
// chunked body without data.
func body(head []byte) (pieces [][]byte) {
	var p proto.Parser
	if p.Parse(head) != proto.Complete {
		return nil
	}
	if p.Request().Chunked {
		return [][]byte{[]byte("0\r\n\r\n")}
	}
	for left := min(p.Request().Length, proto.MaxBody); left > 0; {
		n := min(left, 64<<10)
		pieces = append(pieces, make([]byte, n))
		left -= n
	}
	return pieces
}

// exchange is what serve is to a connection, without a socket and without
// reading the files.
type exchange struct {
	root     *site.Root
	conn     conn.Conn
	now      conn.Now
	heard    heard
	pending  []byte // sent, and not yet known to be a head
	interim  string
	head     []byte // nil until it has been sent
	made     int64  // bytes of the body that are no part of a file
	segments []segment
}

// segment is a part of a file.
type segment struct {
	Name     string
	Off, Len int64
}

// give lets the connection receive, and goes on until it wants more.
func (x *exchange) give(p []byte) conn.Step {
	x.conn.Receive(p, x.now)
	for {
		out, step := x.conn.Next(nil, x.now)
		x.sent(out)
		switch step {
		case conn.Send:
			s := x.conn.Segment()
			x.segments = append(x.segments, segment{x.name(s.File), s.Off, s.Len})
			x.conn.Sent(s.Len, x.now)
		case conn.Flush:
		default:
			x.conn.Hold()
			return step
		}
	}
}

// sent takes what the connection sends: heads, and what it makes of a body.
func (x *exchange) sent(p []byte) {
	if x.head != nil {
		x.made += int64(len(p))
		return
	}
	x.pending = append(x.pending, p...)
	for x.head == nil {
		end := bytes.Index(x.pending, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		head := x.pending[:end+len("\r\n\r\n")]
		x.pending = x.pending[len(head):]
		if bytes.HasPrefix(head, []byte("HTTP/1.1 1")) {
			x.interim = strings.TrimSpace(string(head))
			continue
		}
		x.head, x.made = head, int64(len(x.pending))
	}
}

// name returns that of an open file as the kernel has it, beneath the root.
func (x *exchange) name(f conn.File) string {
	return x.root.RealName(f.Fd())
}

// parts says in words what the body is made of.
func (x *exchange) parts(method string) (parts []string) {
	for _, s := range x.segments {
		parts = append(parts, fmt.Sprintf("%s of %q from offset %d", bytesOf(s.Len), s.Name, s.Off))
	}
	chunked := bytes.Contains(x.head, []byte("\r\nTransfer-Encoding: chunked\r\n"))
	length := bytes.Contains(x.head, []byte("\r\nContent-Length: "))
	switch {
	case x.made > 0 && len(parts) > 0:
		parts = append(parts, fmt.Sprintf("%d bytes before, between and after the parts", x.made))
	case x.made > 0 && chunked:
		parts = append(parts, fmt.Sprintf("%d bytes, the list of the directory in chunks", x.made))
	case x.made > 0 && !length:
		parts = append(parts, fmt.Sprintf("%d bytes, the list of the directory", x.made))
	case x.made > 0:
		parts = append(parts, fmt.Sprintf("%d bytes, the small page that this server makes", x.made))
	case len(parts) > 0:
	case method == "HEAD":
		parts = append(parts, "none: a reply to HEAD has none (RFC 9110 §9.3.2)")
	case length || chunked:
		parts = append(parts, "none: the file is empty")
	default:
		parts = append(parts, "none: a reply of this status has none (RFC 9110 §6.4.1)")
	}
	return parts
}

// heard is what the connection and the root have said.
type heard struct {
	steps  []Step
	fields map[string][]string // why, by the field's name in lower case, in order
	status string
}

// say is what they say it to. What is said of a field is about one that a reply
// may have; of what is said again only the first counts.
func (h *heard) say(what, why string) {
	if name, ok := strings.CutSuffix(what, ":"); ok {
		if h.fields == nil {
			h.fields = make(map[string][]string)
		}
		name = strings.ToLower(name)
		h.fields[name] = append(h.fields[name], why)
		return
	}
	if what == "status" {
		h.status = why
		return
	}
	for _, s := range h.steps {
		if s == (Step{what, why}) {
			return
		}
	}
	h.steps = append(h.steps, Step{what, why})
}

// lines puts the rules beside the lines of the head. What was said last of a
// field is what came of it; of a field with several lines, each has its own.
func (h *heard) lines(head []byte) (lines []Line) {
	count := make(map[string]int)
	texts := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	for _, text := range texts[1:] {
		count[fieldName(text)]++
	}
	lines = append(lines, Line{texts[0], h.status})
	for _, text := range texts[1:] {
		name := fieldName(text)
		whys := h.fields[name]
		why := Unknown
		if at := len(whys) - count[name]; at >= 0 && at < len(whys) {
			why = whys[at]
		}
		count[name]--
		lines = append(lines, Line{text, why})
	}
	return lines
}

func bytesOf(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

func fieldName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return strings.ToLower(name)
}
