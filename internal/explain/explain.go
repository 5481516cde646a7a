// Package explain answers one request as a worker would, without a socket, and
// says why the response is as it is.
//
// It is not a second server: [Run] passes the request to a [conn.Conn] with the files
// of a [site.Root], both of which report their reasons, and takes the part of serve.
// What the connection would send becomes a [Report], in which each line of the
// response has the rule that set it.
package explain

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/human"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
	"phalanx/internal/site"
)

// Report is a request, its reply and the reasons. Nothing in it is made
// harmless for a terminal; [Report.String] does that.
type Report struct {
	Base    string   // the document root, for the reader; empty: not shown
	Site    int      // the number of the site that answers; -1: there is none for the host
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

// Unknown is the Why of a [Line] without an explanation, which is a bug.
const Unknown = "unknown: nothing has said where this comes from"

// Run answers the request at the time now. The configuration is a worker's and
// its sites have the files of the roots, by their numbers, which nothing else may use
// meanwhile. A request that a worker would refuse has a report too; an error is a
// [*exitcode.Error].
func Run(cfg conn.Config, roots []*site.Root, r Request, now time.Time) (Report, error) {
	head, err := r.wire()
	if err != nil {
		return Report{}, err
	}
	root := rootFor(cfg, roots, head)
	if cfg.Passwords != nil {
		cfg.Passwords = believing{cfg.Passwords}
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
	ask := s.ask
	if cfg.HTTP2 && r.Scheme == "https" && r.Version == "" {
		r.Version, ask = versionHTTP2, s.askHTTP2 // browsers negotiate it
	}
	step, err := ask(r, head)
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

// believing takes all credentials for right: whoever explains need not know any.
type believing struct{ conn.Passwords }

func (believing) Check(int, []byte, netip.Addr) (proto.Status, time.Duration, conn.Check) {
	return proto.StatusOK, 0, nil
}

// rootFor returns the root of the site that will answer; if none will, any.
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

// ask passes a request, whose head is given as it goes over the wire, to a connection of
// HTTP/1.1.
func (s *server) ask(r Request, head []byte) (conn.Step, error) {
	c := conn.New(s.cfg, s, s.now)
	c.From(&s.from)
	if r.Scheme == "https" {
		c.Secure()
	}
	s.conn = &c
	step := s.give(head)
	for _, piece := range body(head) {
		if step != conn.Read || s.head != nil {
			break
		}
		step = s.give(piece)
	}
	if s.head == nil {
		return step, errors.New("the request has no end that a server could see")
	}
	return step, nil
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

// protocol is a [conn.Conn] or an [h2.Conn].
type protocol interface {
	Receive(p []byte, now conn.Now)
	Next(out []byte, now conn.Now) ([]byte, conn.Step)
	Segment() conn.Segment
	Sent(n int64, now conn.Now)
	Hold()
	Leave()
}

// server is what serve is to a connection, without a socket and without
// reading the files; as its observer it puts into words what was decided.
type server struct {
	from     clientip.Addr // of the client
	cfg      *conn.Config
	root     *site.Root
	conn     protocol
	http2    *http2 // nil: the connection is one of HTTP/1.1
	now      conn.Now
	found    []Step // by the root
	kind     string // why the file is of its type
	rule     string // which --cache rule fits it
	inherent bool   // files of its type are compressed by their nature
	steps    []Step
	status   proto.Status
	site     int
	source   conn.Source
	closing  conn.Closing
	moved    conn.Moved
	ruled    *rules.Match      // which header fields the rules give; nil: none
	fields   map[string]string // why, by the field's name in lower case
	pending  []byte            // sent, and not yet known to be a head
	interim  string
	head     []byte // nil until it has been sent
	made     int64  // bytes of the body that are no part of a file
	segments []segment
	file     conn.File // of the last one
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
		s.say("archive", "the query asks for one of the directory, and --archive is given")
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

// give passes bytes to the connection, and continues until it wants more.
func (s *server) give(p []byte) conn.Step {
	s.conn.Receive(p, s.now)
	return s.proceed()
}

func (s *server) proceed() conn.Step {
	for {
		out, step := s.conn.Next(nil, s.now)
		if s.http2 != nil {
			s.take(out)
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

// segment notes a part of a file. HTTP/2 sends one in many pieces.
func (s *server) segment(part conn.Segment) {
	if n := len(s.segments); n > 0 && s.file == part.File && s.segments[n-1].Off+s.segments[n-1].Len == part.Off {
		s.segments[n-1].Len += part.Len
		return
	}
	s.file = part.File
	s.segments = append(s.segments, segment{s.name(part.File), part.Off, part.Len})
}

// archive ends the response after its head: an archive may take an hour to make.
func (s *server) archive() conn.Step {
	s.made = 0 // whatever came of it with the head
	s.conn.Hold()
	s.made = 0 // of which some may be there already
	if s.closing == conn.Persistent {
		return conn.Read
	}
	return conn.Close
}

// sent takes what the connection sends: heads, and what it makes of a body.
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

// name returns that of an open file as the kernel has it, beneath the root.
func (s *server) name(f conn.File) string {
	return s.root.RealName(f.Fd())
}

// parts says in words what the body is made of.
func (s *server) parts(method string) (parts []string) {
	for _, part := range s.segments {
		parts = append(parts, fmt.Sprintf("%s of %q from offset %d", human.Plural(part.Len, "byte", "bytes"), part.Name, part.Off))
	}
	made := human.Plural(s.made, "byte", "bytes")
	switch {
	case s.made > 0 && len(parts) > 0:
		parts = append(parts, made+" before, between and after the parts")
	case s.source == conn.SourceArchive && method != "HEAD":
		parts = append(parts, "an archive of the directory, made while it is sent")
	case s.made > 0 && s.source == conn.SourceListing:
		kind := "the list of the directory"
		if bytes.Contains(s.head, []byte("\r\nTransfer-Encoding: chunked\r\n")) {
			kind += " in chunks"
		}
		parts = append(parts, made+", "+kind)
	case s.made > 0:
		parts = append(parts, made+", a small built-in page")
	case len(parts) > 0:
	case method == "HEAD":
		parts = append(parts, "none: a reply to HEAD has none (RFC 9110 §9.3.2)")
	case s.status == proto.StatusNotModified || s.status == proto.StatusNoContent:
		parts = append(parts, "none: a reply of this status has none (RFC 9110 §6.4.1)")
	default:
		parts = append(parts, "none: the file is empty")
	}
	return parts
}
