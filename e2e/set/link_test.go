package set

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Properties of a slow and lossy link: every piece of data is delayed, and one in fifty for as long as if it had
// been lost and retransmitted.
const (
	latency    = 10 * time.Millisecond
	resent     = 200 * time.Millisecond
	lossesIn   = 50
	linkBuffer = 32 << 10
)

// link is a relay with an address of its own that delays the traffic to a node.
type link struct {
	to      string
	running sync.WaitGroup
}

// slowLink creates a link to the node at an address, and returns the address.
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
			return // the listener was closed
		}
		to, err := net.DialTimeout("tcp", k.to+":"+port, 10*time.Second)
		if err != nil {
			// Reset the client's connection as well.
			from.(*net.TCPConn).SetLinger(0)
			from.Close()
			continue
		}
		k.running.Go(func() { carry(from, to) })
		k.running.Go(func() { carry(to, from) })
	}
}

// carry forwards bytes, delayed, and the end of the connection.
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
			if err != io.EOF { // reset, or the other side has closed
				from.Close()
			}
			return
		}
	}
}
