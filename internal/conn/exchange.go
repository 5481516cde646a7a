package conn

import (
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// Exchange is a request and its response: what was requested, what was decided and why, and
// how it ended. Counters, logs, explanations and lists of connections are all made from it. A
// connection has one from the end of a request's head to the end of the response; while it
// is idle it has none.
type Exchange struct {
	Request *proto.Request // its spans are in Head
	Head    []byte         // empty if the request was refused before its end
	Version Version
	Client  clientip.Addr // the client; unknown if no feature needs it
	Began   time.Duration // when its first byte came, on Now's monotonic clock
	Headed  time.Duration // when the request was complete, including its content

	Secure     bool         // the client uses TLS, to its trusted proxy if it has one
	Denied     bool         // Config.Access does not admit the client
	Status     proto.Status // 0: a worker that died began the exchange, and nothing is known about it
	Source     Source
	Closing    Closing
	RangeField proto.RangeOutcome
	Codings    proto.Codings    // codings that the client prefers to the unencoded file
	Conditions proto.Conditions // results of the preconditions
	Ranges     []proto.Range    // requested ranges of the file
	Moved      Moved            // why the client is redirected
	Rule       rules.Position   // the site's rule that decided; its Name is empty if none did
	Fields     *rules.Match     // the site's rules about header fields, while Decided is called; nil: none
	File       File             // the requested file, or the site's page, while Decided is called; nil: none
	Fault      proto.Fault      // why the request was refused; zero: it was not
	ID         []byte           // request id; empty: requests have none
	User       []byte           // user whose credentials were right; nil: none
	Site       int              // number of the site that answers, as Sites.Find gave it; 0 without Sites

	Size  int64 // bytes of the content, if it comes from a file; 0: not known
	Bytes int64 // bytes of the content so far
	Err   error // why the response was truncated; nil: it was not

	Noted Noted // notes of the observer

	access      proto.Access  // what the request has access to, and needs
	credentials []byte        // credentials of the request, once they are needed
	check       Check         // check of the credentials under way; nil: none
	checked     int           // realm of check
	unused      int           // bytes of the head that the connection keeps during check
	realm       string        // realm whose credentials the response requires
	again       time.Duration // when the request may be tried again
	site        Site          // site of the whole exchange; nil: none has the host
	set         *rules.Set    // the site's rules for the whole exchange
	asked       bool          // set is known
	head        int           // where the response's head begins in the output
	own         []byte        // holds Head when it is no longer borrowed
	held        bool          // Head is in own
	upload      *upload       // the request's content, while it is discarded
	parts       *multipart    // nil unless several ranges are sent
	stream      Stream        // nil unless the content is made while it is sent
}

// Noted is what an observer notes about an exchange, on its own clock; zero: nothing.
type Noted struct {
	Headed  time.Duration // when the head was complete
	Decided time.Duration // when the response was decided
	Waited  time.Duration // how long the connection had waited for the disk until then
}

// Version is the HTTP version of an exchange.
type Version uint8

// The versions. The values of HTTP/1 are the minor numbers.
const (
	HTTP10 Version = iota
	HTTP11
	HTTP2
	NumVersions
)

// String returns the version as it stands in logs: "HTTP/1.1".
func (v Version) String() string {
	return [NumVersions]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}[v]
}

// Source is where the content of a response comes from.
type Source uint8

// The sources.
const (
	SourceNone      Source = iota // there is none
	SourceFile                    // the requested file or ranges of it; also for 304
	SourceSitePage                // the site's own page for an error
	SourcePage                    // a generated page, for an error or a redirection
	SourceListing                 // a directory listing
	SourceArchive                 // an archive of a directory
	SourceChallenge               // the response to a certificate authority's challenge
)

// Moved is why a response sends the client to another URL.
type Moved uint8

// The reasons.
const (
	MovedNot    Moved = iota // no redirection
	MovedSlash               // the path is a directory's and lacks its slash
	MovedClean               // the file has a cleaner path
	MovedSecure              // plain HTTP is redirected to HTTPS
	MovedRule                // a rule of the site redirects the path
)

// Closing is why the connection ends with the response.
type Closing uint8

// The reasons. After those from ClosingDrain on the client may still be sending.
const (
	Persistent    Closing = iota // it does not end
	ClosingSingle                // Config.Single
	ClosingClient                // the client requested it, or HTTP/1.0 without keep-alive
	ClosingLength                // HTTP/1.0 cannot delimit content without a length
	ClosingDrain                 // the worker drains
	ClosingUnread                // the request's content is not read
	ClosingFault                 // the beginning of the next request is unknown
	numClosings
)

func (c Closing) lingers() bool { return c >= ClosingDrain }

// Observer observes a connection's exchanges, and is called in the connection's
// goroutine. The exchange and all it refers to are valid during the call.
type Observer interface {
	Received(x *Exchange) // the head is complete; not called for a request refused before
	Decided(x *Exchange)  // the response has been decided
	Ended(x *Exchange)    // the response is complete, but perhaps not sent yet, or truncated
}

// Line returns method and target as they were sent, with the space between
// them; nil if the request was refused before.
func (x *Exchange) Line() []byte {
	if len(x.Head) == 0 {
		return nil
	}
	return x.Head[x.Request.MethodName.Off : x.Request.Target.Off+x.Request.Target.Len]
}

// Method returns the method as it was sent.
func (x *Exchange) Method() []byte { return x.span(x.Request.MethodName) }

// Target returns the target as it was sent.
func (x *Exchange) Target() []byte { return x.span(x.Request.Target) }

func (x *Exchange) span(s proto.Span) []byte {
	if len(x.Head) == 0 {
		return nil
	}
	return s.In(x.Head)
}

// Value returns the value of a field of the request; nil if there is none.
func (x *Exchange) Value(f proto.Field) []byte {
	if len(x.Head) == 0 {
		return nil
	}
	return x.Request.Value(x.Head, f)
}

// hold copies what is borrowed.
func (x *Exchange) hold() {
	if !x.held {
		x.own = append(x.own[:0], x.Head...)
		x.Head, x.held = x.own, true
	}
}

const (
	spareMax  = 256     // exchanges kept for reuse
	spareHead = 2 << 10 // size in bytes of the longest head whose memory is kept with its exchange
)

// Spare returns how many objects to keep for reuse, of those that would be kept for many connections.
func (cfg *Config) Spare(most int) int {
	if cfg.Alone {
		return 8 // its requests follow each other, and it may be idle for long
	}
	return most
}

// open makes the exchange of a request.
func (r *Reply) open(req *proto.Request, head []byte, v Version, began time.Duration) {
	var x *Exchange
	if n := len(r.cfg.spare); n > 0 {
		x, r.cfg.spare = r.cfg.spare[n-1], r.cfg.spare[:n-1]
	} else {
		x = new(Exchange)
	}
	x.Request, x.Head, x.Version, x.Began = req, head, v, began
	if x.site, x.Site = r.cfg.Site, 0; r.cfg.Sites != nil {
		r.find(x)
	}
	r.x = x
	r.attribute()
}

// find finds the site of an exchange. A request that was refused before its host was known
// gets none.
func (r *Reply) find(x *Exchange) {
	if x.site = nil; len(x.Head) > 0 {
		x.site, x.Site = r.cfg.Sites.Find(x.Request.Host(x.Head))
	}
}

// Leave ends the exchange here, if there is one, and closes what it holds; the observer is not
// called.
func (r *Reply) Leave() {
	r.drop()
	r.phase = replyNone
	x := r.x
	if x == nil {
		return
	}
	if x.stream != nil {
		x.stream.Close()
	}
	if x.check != nil {
		x.check.Close()
		x.check = nil
	}
	if r.cfg.Sites != nil && x.site != nil {
		r.cfg.Sites.Done(x.site, x.Site)
	}
	if r.x = nil; len(r.cfg.spare) < r.cfg.Spare(spareMax) {
		x.reset()
		r.cfg.spare = append(r.cfg.spare, x)
	}
}

// reset clears the exchange, except for its memory and for what [Reply.open] and the
// start of each response set.
func (x *Exchange) reset() {
	x.Request, x.Head, x.Client, x.Denied = nil, nil, clientip.Addr{}, false
	x.ID, x.Ranges, x.held = x.ID[:0], x.Ranges[:0], false
	x.Closing, x.RangeField, x.Codings, x.Conditions = 0, 0, proto.Codings{}, proto.Conditions{}
	x.Size, x.Bytes, x.Err, x.Noted = 0, 0, nil, Noted{}
	x.Moved, x.Rule, x.Fields, x.set, x.asked = 0, rules.Position{}, nil, nil, false
	x.site, x.upload, x.parts, x.stream = nil, nil, nil, nil
	x.access = proto.Access{}
	if x.User = nil; len(x.credentials) > 0 {
		clear(x.credentials)
		x.credentials = x.credentials[:0]
	}
	x.realm, x.again, x.unused = "", 0, 0
	if x.Fault.Status != 0 {
		x.Fault = proto.Fault{}
	}
	if cap(x.own) > spareHead {
		x.own = nil
	}
}
