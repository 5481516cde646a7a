package serve

import (
	"bytes"
	"crypto/tls"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/accesslog"
	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/logging"
	"phalanx/internal/proto"
	"phalanx/internal/proxyproto"
	"phalanx/internal/tlsconn"
)

// Limits of a client's bytes in a log line, after escaping. A line must be shorter than
// PIPE_BUF (4,096 bytes) to be written atomically.
const (
	maxLogMethod = 64
	maxLogTarget = 2048
	maxLogHead   = 3072
	maxLogName   = 255
)

// slow is the duration from which the log names the slowest part of a request.
const slow = time.Second

// Journal is the observer of one connection: it logs its requests and passes them on to a
// Tally. A nil Journal logs nothing.
type Journal struct {
	tally  *Tally
	cfg    *Config
	clock  *Clock
	client clientip.Addr  // of the connection
	port   int            // local port, if the access log has it; else 0
	tls    *accesslog.TLS // nil: plain HTTP, or before the end of the handshake

	// If Config.Verbose:
	fetched time.Duration // time spent waiting for the disk
	waiting time.Duration // when the current wait for the disk began; 0: there is none
}

// NewJournal returns the journal of a connection; nil if nothing is logged. fd is its socket.
func NewJournal(cfg *Config, t *Tally, client *clientip.Addr, fd int) *Journal {
	if !cfg.Verbose && cfg.Access == nil {
		return nil
	}
	port := 0
	if cfg.Access != nil && cfg.Access.NeedsPort() {
		port = Port(fd)
	}
	return &Journal{port: port, tally: t, cfg: cfg, clock: t.Clock, client: *client}
}

// Observer returns the observer of the connection: the journal, or the tally if there
// is no journal.
func (j *Journal) Observer(t *Tally) conn.Observer {
	if j == nil {
		return t
	}
	return j
}

// clientOf returns the client of an exchange, which a proxy may have named.
func (j *Journal) clientOf(x *conn.Exchange) clientip.Addr {
	if !x.Client.Known() {
		return j.client
	}
	return x.Client
}

// withClient adds the client to a log line, unless the line is not written.
func withClient(e *zerolog.Event, client clientip.Addr) *zerolog.Event {
	if !e.Enabled() {
		return e
	}
	var text [clientip.MaxText]byte
	return e.Bytes("client", client.AppendTo(text[:0]))
}

// siteOf returns the name of an exchange's site, empty if there is one for all hosts.
func (j *Journal) siteOf(x *conn.Exchange) string {
	if x.Site >= len(j.cfg.SiteNames) {
		return ""
	}
	return j.cfg.SiteNames[x.Site]
}

// Received notes the time and logs the request head.
func (j *Journal) Received(x *conn.Exchange) {
	if j.tally.Received(x); !j.cfg.Verbose {
		return
	}
	x.Noted.Headed = j.clock.Mono()
	if e := j.cfg.Log.Debug(); e.Enabled() {
		var text [maxLogHead + 16]byte
		withClient(e, j.clientOf(x)).RawJSON("head", logging.AppendJSON(text[:0], withoutCredentials(x), maxLogHead)).Msg("head")
	}
}

// withoutCredentials returns the request head with the value of Authorization masked.
func withoutCredentials(x *conn.Exchange) []byte {
	if !x.Request.Has(proto.FieldAuthorization) {
		return x.Head
	}
	head := bytes.Clone(x.Head)
	value := x.Request.Value(head, proto.FieldAuthorization)
	copy(value, bytes.Repeat([]byte("*"), len(value)))
	return head
}

// Decided notes the time.
func (j *Journal) Decided(x *conn.Exchange) {
	if j.tally.Decided(x); !j.cfg.Verbose {
		return
	}
	now := j.clock.Mono()
	if x.Noted.Decided, x.Noted.Waited = now, j.fetched; x.Noted.Headed == 0 {
		x.Noted.Headed = now // a refused request has no head
	}
}

// Ended logs a request after its response.
func (j *Journal) Ended(x *conn.Exchange) {
	if j.tally.Ended(x); x.Status == 0 {
		return // rescued: the request is not known
	}
	wall, now := j.clock.Read()
	took := now - x.Began
	if j.cfg.Access != nil {
		var host [clientip.MaxText]byte
		j.cfg.Access.Write(&accesslog.Entry{
			Client: j.clientOf(x).AppendHost(host[:0]), User: x.User, Time: wall.UnixMilli(),
			Method: x.Method(), Target: x.Target(), Version: x.Version.String(), Status: int(x.Status), Bytes: x.Bytes, Took: took,
			Referer: x.Value(proto.FieldReferer), Agent: x.Value(proto.FieldUserAgent), ID: x.ID,
			TLS: j.tls, Site: j.siteOf(x), Port: j.port,
		})
	}
	switch {
	case x.Hello():
		withClient(j.cfg.Log.Debug(), j.clientOf(x)).Msg(x.Fault.Reason)
		return
	case !j.cfg.Verbose:
		return
	}
	var method [maxLogMethod + 16]byte
	var path [maxLogTarget + 16]byte
	e := withClient(j.cfg.Log.Info(), j.clientOf(x)).
		RawJSON("method", logging.AppendJSON(method[:0], x.Method(), maxLogMethod)).
		RawJSON("path", logging.AppendJSON(path[:0], x.Target(), maxLogTarget)).
		Int("status", int(x.Status)).
		Int64("bytes", x.Bytes).
		Str("protocol", x.Version.String()).
		Float64("ms", milliseconds(took))
	if site := j.siteOf(x); site != "" {
		e = e.Str("site", site)
	}
	if len(x.User) > 0 {
		var name [maxLogName + 16]byte
		e = e.RawJSON("user", logging.AppendJSON(name[:0], x.User, maxLogName))
	}
	if len(x.ID) > 0 {
		e = e.Bytes("id", x.ID)
	}
	if took >= slow {
		part, lasted := j.slowest(x, now)
		e = e.Str("slow", part).Float64("slow_ms", milliseconds(lasted))
	}
	switch {
	case x.Err != nil:
		e = e.Str("reason", x.Err.Error())
	case x.Fault.Status != 0:
		e = e.Str("reason", x.Fault.Reason)
	}
	e.Msg("request")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// slowest names the part of a request that took longest, and how long it did:
// "receive" (head and body from the client), "open" (finding the file), "disk"
// (reading it) or "send" (to the client).
func (j *Journal) slowest(x *conn.Exchange, now time.Duration) (part string, lasted time.Duration) {
	if x.Noted.Decided == 0 {
		return "send", now - x.Began // another worker received it
	}
	begun, fetched := x.Noted.Decided, j.fetched-x.Noted.Waited
	part, lasted = "receive", x.Headed-x.Began
	for _, other := range []struct {
		part   string
		lasted time.Duration
	}{{"open", begun - max(x.Noted.Headed, x.Headed)}, {"disk", fetched}, {"send", now - begun - fetched}} {
		if other.lasted > lasted {
			part, lasted = other.part, other.lasted
		}
	}
	return part, lasted
}

// Fetch records that a wait for the disk begins or ends.
func (j *Journal) Fetch(begins bool) {
	switch {
	case j == nil || !j.cfg.Verbose:
	case begins:
		j.waiting = j.clock.Mono()
	case j.waiting != 0:
		j.fetched += j.clock.Mono() - j.waiting
		j.waiting = 0
	}
}

// Bytes logs received bytes.
func (j *Journal) Bytes(n int) {
	if j != nil {
		withClient(j.cfg.Log.Trace(), j.client).Int("bytes", n).Msg("recv")
	}
}

// Event logs what has happened to the connection: it was opened, closed or moved.
func (j *Journal) Event(message string) {
	if j != nil {
		withClient(j.cfg.Log.Debug(), j.client).Msg(message)
	}
}

// Secured logs a complete TLS handshake.
func (j *Journal) Secured(info tlsconn.Info) {
	if j == nil {
		return
	}
	j.Continues(info)
	if e := j.cfg.Log.Debug(); e.Enabled() {
		var name [maxLogName + 16]byte
		withClient(e, j.client).Str("version", j.tls.Version).Str("cipher", j.tls.Cipher).Stringer("group", info.Curve).
			Bool("resumed", info.Resumed).RawJSON("sni", logging.AppendJSON(name[:0], []byte(info.ServerName), maxLogName)).
			Str("protocol", info.Protocol).Msg("TLS handshake")
	}
}

// Continues notes the TLS parameters of a connection from another worker.
func (j *Journal) Continues(info tlsconn.Info) {
	if j != nil {
		j.tls = &accesslog.TLS{
			Version: tls.VersionName(info.Version), Cipher: tls.CipherSuiteName(info.Suite),
			Name: info.ServerName, Resumed: info.Resumed,
		}
	}
}

// unsecured logs a TLS failure.
func (j *Journal) unsecured(reason tlsconn.Reason, err error) {
	if j == nil {
		return
	}
	if err == nil {
		err = &tlsconn.Error{Reason: reason}
	}
	withClient(j.cfg.Log.Debug(), j.client).Str("reason", strings.TrimPrefix(err.Error(), "TLS: ")).Msg("TLS failed")
}

// Proxied notes and logs the client that a PROXY header names.
func (j *Journal) Proxied(client clientip.Addr) {
	if j == nil {
		return
	}
	proxy := j.client
	j.client = client
	withClient(j.cfg.Log.Debug(), client).Stringer("proxy", proxy).Msg("PROXY header")
}

// Unproxied logs that the PROXY header was refused.
func (j *Journal) Unproxied(reason proxyproto.Reason) {
	if j != nil {
		withClient(j.cfg.Log.Debug(), j.client).Stringer("reason", reason).Msg("PROXY header refused")
	}
}
