package chaos

import (
	"crypto/tls"

	"phalanx/e2e/harness"
)

// address is one of the server's listen addresses.
type address struct {
	over    string // suffix of the names of its clients
	local   bool   // a unix socket, whose connections are not rescued
	connect func(buffer int) (*harness.Client, error)
	tls     *tls.Config // nil: HTTP without TLS
	http2   bool        // whose connections are not rescued either
}

// plain is a port for HTTP without TLS.
func plain(port int) address {
	return address{connect: func(buffer int) (*harness.Client, error) { return harness.ConnectNarrow(port, buffer) }}
}

// second is another port for HTTP without TLS.
func second(port int) address {
	a := plain(port)
	a.over = " at the second address"
	return a
}

// local is a unix socket. The kernel chooses the sizes of its buffers.
func local(path string) address {
	return address{
		over: " over a unix socket", local: true,
		connect: func(int) (*harness.Client, error) { return harness.ConnectUnix(path) },
	}
}

// secure is a port for HTTPS. Its clients resume their sessions, with any worker.
func secure(port int) address {
	a := plain(port)
	a.over = " over TLS"
	a.tls = &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	return a
}

// excused counts connections that a worker's death ended and that docs/rescue.md does not promise to rescue.
type excused struct {
	handshaking int // over TLS before the first response: the server may still be in the handshake
	sealing     int // other TLS connections: the worker was encrypting for them
	http2       int // HTTP/2
	local       int // unix sockets
}

// excuses reports whether a connection may end like this, and counts it. The log lines of the
// rescues have to account for all of them.
func (c *client) excuses(err error) bool {
	switch {
	case !harness.IsCut(err) || c.at.tls == nil && !c.at.local && !c.at.http2:
		return false
	case c.at.local:
		c.excused.local++
	case c.fresh && c.at.tls != nil:
		c.excused.handshaking++
	case c.at.http2:
		c.excused.http2++
	default:
		c.excused.sealing++
	}
	return true
}

// checkExcused compares the excused ends with the closed connections that the rescues logged, by
// reason. The log may count a connection that its client has just closed.
func (c *chaos) checkExcused(closed map[string]int) {
	c.load.mu.Lock()
	defer c.load.mu.Unlock()
	e := c.load.excused
	say := c.logf
	if e.sealing > len(c.victims) || e.sealing+e.handshaking+e.http2 > closed[cannotContinue] || e.local > closed[cannotRescue] {
		say = c.errorf
	}
	say("%d deaths ended %d handshakes, %d HTTP/2 connections, %d other TLS connections and %d unix socket connections; closed according to the log: %v",
		len(c.victims), e.handshaking, e.http2, e.sealing, e.local, closed)
}
