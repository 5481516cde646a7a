package chaos

import (
	"crypto/tls"
	"errors"

	"phalanx/e2e/harness"
)

// address is one of those that the server listens at.
type address struct {
	over    string // behind the names of its clients
	connect func(buffer int) (*harness.Client, error)
	tls     *tls.Config // nil: HTTP in the clear
}

// errShaking is the end of a connection in its handshake, which is not rescued.
var errShaking = errors.New("in the handshake")

// plain is a port for HTTP in the clear.
func plain(port int) address {
	return address{connect: func(buffer int) (*harness.Client, error) { return harness.ConnectNarrow(port, buffer) }}
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
	shaking int // in a handshake
	sealing int // over TLS otherwise: the worker was just encrypting
}

// excuses reports whether an end is one of those, and counts it. The lines of the
// rescues have to account for all.
func (l *load) excuses(a *address, err error) bool {
	switch {
	case a.tls == nil || !harness.IsCut(err):
		return false
	case errors.Is(err, errShaking):
		l.excused.shaking++
	default:
		l.excused.sealing++
	}
	return true
}

// checkExcused compares with what the lines of the rescues say, by reason.
func (c *chaos) checkExcused(closed map[string]int) {
	c.load.mu.Lock()
	defer c.load.mu.Unlock()
	e := c.load.excused
	c.logf("%d handshakes and %d connections over TLS ended with %d deaths, whose lines say: closed %v",
		e.shaking, e.sealing, len(c.victims), closed)
	if e.sealing > len(c.victims) || e.sealing+e.shaking > closed[cannotContinue] {
		c.errorf("%d handshakes and %d connections over TLS ended with %d deaths, whose lines say: closed %v",
			e.shaking, e.sealing, len(c.victims), closed)
	}
}
