package set

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// What a slow and lossy link does: every piece of data is late, and one in fifty as late as if
// it had been lost and sent again.
const (
	latency    = 10 * time.Millisecond
	resent     = 200 * time.Millisecond
	lossesIn   = 50
	linkBuffer = 32 << 10
)

// link is a relay at an address of its own, through which a node is reached slowly.
type link struct {
	to      string
	running sync.WaitGroup
}

// slowLink makes such a link to the node, and returns its address.
func (l *lab) slowLink(n *node, addr string) string {
	l.t.Helper()
	l.must("ip", "addr", "add", addr+"/24", "dev", "bridge")
	k := &link{to: n.addr}
	var listeners []net.Listener
	for _, port := range []string{nodePort, adminPort} {
		at, err := net.Listen("tcp", addr+":"+port)
		if err != nil {
			l.t.Fatal(err)
		}
		listeners = append(listeners, at)
		k.running.Go(func() { k.accept(at, port) })
	}
	l.t.Cleanup(func() {
		for _, at := range listeners {
			at.Close()
		}
		k.running.Wait()
	})
	return addr
}

func (k *link) accept(at net.Listener, port string) {
	for {
		from, err := at.Accept()
		if err != nil {
			return // it was closed
		}
		to, err := net.DialTimeout("tcp", k.to+":"+port, time.Second)
		if err != nil {
			// The other end is told in the same way.
			from.(*net.TCPConn).SetLinger(0)
			from.Close()
			continue
		}
		k.running.Go(func() { carry(from, to) })
		k.running.Go(func() { carry(to, from) })
	}
}

// carry passes bytes on, late, until the end, and the end too.
func carry(from, to net.Conn) {
	defer to.(*net.TCPConn).CloseWrite()
	buf := make([]byte, linkBuffer)
	for {
		n, err := from.Read(buf)
		late := latency
		if rand.IntN(lossesIn) == 0 {
			late = resent
		}
		time.Sleep(late)
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			if err != io.EOF { // reset, or the other side is gone
				from.Close()
			}
			return
		}
	}
}
