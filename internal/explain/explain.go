// Package explain answers one request as a worker would, without a socket, and
// says why the response is as it is.
//
// It is not a second server: [Run] passes the request to a [conn.Conn] with the files
// of a [site.Root], both of which report their reasons, in place of package serve. The
// output of the connection becomes a [Report], in which each line of the response has
// the rule that set it.
package explain

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/human"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
	"phalanx/internal/site"
)

// Report is a request, its response and the reasons. Its texts are not escaped for a
// terminal; [Report.String] does that.
type Report struct {
	Base    string   // the document root, to be shown; "": not shown
	Site    int      // number of the site; -1: no site has the host
	Request []string // lines of the request head
	Notes   []string // sentences on how the request was changed
	Interim string   // status line of an interim response; "": none
	Status  proto.Status
	Head    []byte // of the response as the client gets it, with the empty line
	Lines   []Line // of Head, without the empty line
	Body    []string
	Bytes   int64 // of the body on the wire
	Steps   []Step
	Ends    string // whether the connection persists
}

// Line is a line of the response's head and the rule that set it.
type Line struct{ Text, Why string }

// Step is a decision: its subject and its result.
type Step struct{ What, Why string }

// Unknown is the Why of a [Line] without an explanation, which is a bug.
const Unknown = "unknown: no rule explains this line, which is a bug"

// Run answers the request at the time now. cfg is the configuration of a worker, and its
// sites have the files of roots, by number; nothing else may use the roots meanwhile. A
// request that a worker would refuse has a report too; an error is a [*exitcode.Error].
func Run(cfg conn.Config, roots []*site.Root, r Request, now time.Time) (Report, error) {
	head, err := r.wire()
	if err != nil {
		return Report{}, err
	}
	root := rootFor(cfg, roots, head)
	if cfg.Passwords != nil {
		cfg.Passwords = allRight{cfg.Passwords}
	}
	s := &server{cfg: &cfg, root: root}
	root.Trace(s.finding)
	defer root.Trace(nil)
	clock := root.Now
	root.Now = func() time.Time { return now }
	defer func() { root.Now = clock }()
	s.now = conn.Now{Mono: time.Duration(now.Nanosecond()), Second: cfg.NewSecond(now.Unix())}
	if !r.From.Known() && (cfg.Access != nil || cfg.Trust != nil) {
		r.From, _ = clientip.Parse("127.0.0.1")
		r.Notes = append(r.Notes, "The client is 127.0.0.1; choose another with --from.")
	}
	s.from = r.From
	exchange := s.exchange
	if cfg.HTTP2 && r.Scheme == "https" && r.Version == "" {
		r.Version, exchange = versionHTTP2, s.exchangeHTTP2 // browsers negotiate it
	}
	step, err := exchange(r, head)
	defer s.conn.Leave()
	if err != nil {
		return Report{}, err
	}
	report := Report{
		Request: r.lines(), Notes: r.Notes, Interim: s.interim, Status: s.status, Head: s.head, Lines: s.lines(),
		Body: s.parts(r.Method), Bytes: s.made, Steps: s.steps, Site: s.site, Ends: "It ends with this response.",
	}
	for _, part := range s.segments {
		report.Bytes += part.Len
	}
	if step == conn.Read {
		report.Ends = fmt.Sprintf("It stays open for the next request, for %v (--keepalive).", cfg.KeepAlive)
	}
	return report, nil
}

// allRight accepts all credentials: explain needs no password.
type allRight struct{ conn.Passwords }

func (allRight) Check(int, []byte, netip.Addr) (proto.Status, time.Duration, conn.Check) {
	return proto.StatusOK, 0, nil
}

// rootFor returns the root of the site that has the host of the request; any root if
// there is no such site.
func rootFor(cfg conn.Config, roots []*site.Root, head []byte) *site.Root {
	var p proto.Parser
	number := 0
	if cfg.Sites != nil && p.Parse(head) == proto.Complete {
		_, number = cfg.Sites.Find(p.Request().Host(head))
	}
	if roots[number] != nil {
		return roots[number]
	}
	return roots[1]
}

// exchange passes a request to an HTTP/1.1 connection; head is its head on the wire.
func (s *server) exchange(r Request, head []byte) (conn.Step, error) {
	c := conn.New(s.cfg, s, s.now)
	c.From(&s.from)
	switch {
	case r.Scheme == "https":
		c.Secure()
	case s.from == clientip.Unix():
		c.Local()
	}
	s.conn = &c
	step := s.receive(head)
	for _, piece := range body(head) {
		if step != conn.Read || s.head != nil {
			break
		}
		step = s.receive(piece)
	}
	if s.head == nil {
		return step, errors.New("the end of the request cannot be determined")
	}
	return step, nil
}

// body returns the body that a head announces: zeros of its length, or a chunked body
// without data.
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

// protocol is a [conn.Conn] or an [h2.Conn].
type protocol interface {
	Receive(p []byte, now conn.Now)
	Next(out []byte, now conn.Now) ([]byte, conn.Step)
	Segment() conn.Segment
	Sent(n int64, now conn.Now)
	Hold()
	Leave()
}

// server drives a connection in place of package serve, without a socket and without
// reading files. As the observer of the connection it explains the decisions.
type server struct {
	from     clientip.Addr // of the client
	cfg      *conn.Config
	root     *site.Root
	conn     protocol
	http2    *http2 // nil: an HTTP/1.1 connection
	now      conn.Now
	found    []Step // by the root
	kind     string // why the file has its type
	rule     string // which --cache rule matches the file
	inherent bool   // the file's type is a compressed form, such as .svgz
	steps    []Step
	status   proto.Status
	site     int
	source   conn.Source
	closing  conn.Closing
	moved    conn.Moved
	ruled    *rules.Match      // header fields set by rules; nil: none
	fields   map[string]string // reasons by field name in lower case
	pending  []byte            // sent bytes that are not a complete head yet
	interim  string
	head     []byte // nil until it has been sent
	made     int64  // bytes of the body that do not come from files
	segments []segment
	file     conn.File // of the last segment
}

// Received does nothing: Decided has the same data.
func (s *server) Received(*conn.Exchange) {}

// Decided explains the response.
func (s *server) Decided(x *conn.Exchange) {
	s.status, s.source, s.closing, s.moved, s.ruled = x.Status, x.Source, x.Closing, x.Moved, x.Fields
	if s.site = x.Site; x.Status == proto.StatusMisdirectedRequest {
		s.site = -1
	}
	s.requestSteps(x)
	for _, step := range s.found {
		s.say(step.What, step.Why)
	}
	if x.User != nil {
		s.say("password", "the request has credentials; explain assumes that they are right")
	}
	s.ruleSteps(x)
	switch {
	case x.Source == conn.SourceArchive:
		s.say("archive", "the query requests an archive of the directory, and --archive is given")
	case x.Source == conn.SourceListing:
		s.say("listing", "the directory has no index and --list is given")
	case x.File != nil && x.Source != conn.SourceSitePage:
		s.fileSteps(x)
	}
	s.fields = s.fieldWhys(x)
}

// Ended does nothing: the report shows the end as it was sent.
func (s *server) Ended(*conn.Exchange) {}

// segment is a part of a file.
type segment struct {
	Name     string
	Off, Len int64
}

// receive passes bytes to the connection and runs it until it needs more.
func (s *server) receive(p []byte) conn.Step {
	s.conn.Receive(p, s.now)
	return s.proceed()
}

// proceed runs the connection until it needs input or ends.
func (s *server) proceed() conn.Step {
	for {
		out, step := s.conn.Next(nil, s.now)
		if s.http2 != nil {
			s.sentFrames(out)
		} else {
			s.sent(out)
		}
		switch step {
		case conn.Send:
			part := s.conn.Segment()
			s.segment(part)
			s.conn.Sent(part.Len, s.now)
		case conn.Flush, conn.Await:
			if s.source == conn.SourceArchive {
				return s.archive()
			}
		default:
			s.conn.Hold()
			return step
		}
	}
}

// segment records a part of a file. HTTP/2 sends a part in several pieces.
func (s *server) segment(part conn.Segment) {
	if n := len(s.segments); n > 0 && s.file == part.File && s.segments[n-1].Off+s.segments[n-1].Len == part.Off {
		s.segments[n-1].Len += part.Len
		return
	}
	s.file = part.File
	s.segments = append(s.segments, segment{s.name(part.File), part.Off, part.Len})
}

// archive ends the response after its head: making the archive may take an hour. Bytes of
// it that have been made are not counted.
func (s *server) archive() conn.Step {
	s.conn.Hold()
	s.made = 0
	if s.closing == conn.Persistent {
		return conn.Read
	}
	return conn.Close
}

// sent handles the bytes that an HTTP/1.1 connection sends: heads, and parts of a body
// that do not come from files.
func (s *server) sent(p []byte) {
	if s.head != nil {
		s.made += int64(len(p))
		return
	}
	s.pending = append(s.pending, p...)
	for s.head == nil {
		end := bytes.Index(s.pending, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		head := s.pending[:end+len("\r\n\r\n")]
		s.pending = s.pending[len(head):]
		if bytes.HasPrefix(head, []byte("HTTP/1.1 1")) {
			s.interim = strings.TrimSpace(string(head))
			continue
		}
		s.head, s.made = head, int64(len(s.pending))
	}
}

// name returns the quoted name of an open file in the root, as the kernel has it, or what the
// file is instead.
func (s *server) name(f conn.File) string {
	if f.Copied() {
		return "the compressed copy in --cache-dir"
	}
	return strconv.Quote(s.root.RealName(f.Fd()))
}

// parts describes the parts of the body.
func (s *server) parts(method string) (parts []string) {
	for _, part := range s.segments {
		parts = append(parts, fmt.Sprintf("%s of %s from offset %d", human.Plural(part.Len, "byte", "bytes"), part.Name, part.Off))
	}
	made := human.Plural(s.made, "byte", "bytes")
	switch {
	case s.made > 0 && len(parts) > 0:
		parts = append(parts, made+" before, between and after the parts")
	case s.source == conn.SourceArchive && method != "HEAD":
		parts = append(parts, "an archive of the directory, made while it is sent")
	case s.made > 0 && s.source == conn.SourceListing:
		kind := "the directory listing"
		if bytes.Contains(s.head, []byte("\r\nTransfer-Encoding: chunked\r\n")) {
			kind += " in chunks"
		}
		parts = append(parts, made+", "+kind)
	case s.made > 0:
		parts = append(parts, made+", a small built-in page")
	case len(parts) > 0:
	case method == "HEAD":
		parts = append(parts, "none: a response to HEAD has none (RFC 9110 §9.3.2)")
	case s.status == proto.StatusNotModified || s.status == proto.StatusNoContent:
		parts = append(parts, "none: a response with this status has none (RFC 9110 §6.4.1)")
	default:
		parts = append(parts, "none: the file is empty")
	}
	return parts
}
