package chaos

import (
	"crypto/tls"

	"phalanx/e2e/harness"
)

// address is one of those that the server listens at.
type address struct {
	over    string // behind the names of its clients
	local   bool   // a unix socket, whose connections are not rescued
	connect func(buffer int) (*harness.Client, error)
	tls     *tls.Config // nil: HTTP in the clear
	http2   bool        // which is not rescued either
}

// plain is a port for HTTP in the clear.
func plain(port int) address {
	return address{connect: func(buffer int) (*harness.Client, error) { return harness.ConnectNarrow(port, buffer) }}
}

// second is another.
func second(port int) address {
	a := plain(port)
	a.over = " at the second address"
	return a
}

// local is a unix socket. Its buffers are the kernel's choice.
func local(path string) address {
	return address{
		over: " over a unix socket", local: true,
		connect: func(int) (*harness.Client, error) { return harness.ConnectUnix(path) },
	}
}

// secure is a port for HTTPS. Sessions are resumed, with whichever worker.
func secure(port int) address {
	a := plain(port)
	a.over = " over TLS"
	a.tls = &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	return a
}

// excused are ends of connections that docs/rescue.md admits.
type excused struct {
	shaking int // over TLS before the first reply, when the server may still be in the handshake
	sealing int // over TLS otherwise: the worker was just encrypting
	http2   int // of HTTP/2
	local   int // of unix sockets
}

// excuses reports whether an end is one of those, and counts it. The lines of the
// rescues have to account for all.
func (p *patron) excuses(err error) bool {
	switch {
	case !harness.IsCut(err) || p.at.tls == nil && !p.at.local && !p.at.http2:
		return false
	case p.at.local:
		p.excused.local++
	case p.fresh && p.at.tls != nil:
		p.excused.shaking++
	case p.at.http2:
		p.excused.http2++
	default:
		p.excused.sealing++
	}
	return true
}

// checkExcused compares with what the lines of the rescues say, by reason. A line may
// count a connection whose client has just left.
func (c *chaos) checkExcused(closed map[string]int) {
	c.load.mu.Lock()
	defer c.load.mu.Unlock()
	e := c.load.excused
	say := c.logf
	if e.sealing > len(c.victims) || e.sealing+e.shaking+e.http2 > closed[cannotContinue] || e.local > closed[cannotRescue] {
		say = c.errorf
	}
	say("%d deaths ended %d handshakes, %d connections of HTTP/2, %d others over TLS, and %d over unix sockets; closed, as their lines say: %v",
		len(c.victims), e.shaking, e.http2, e.sealing, e.local, closed)
}
