package eventloop

import (
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// FuzzTakeOver sends a loop arbitrary states with arbitrary descriptors, as a compromised worker may hand over. The loop
// keeps serving, ends when it is stopped, and leaves no descriptor open.
func FuzzTakeOver(f *testing.F) {
	states := [][]byte{
		conn.AppendState(nil, conn.Remains{}), conn.AppendState(nil, conn.Remains{Rest: 1 << 40}), {}, {0xff, 0, 0, 0, 9},
		conn.AppendState(nil, conn.Remains{Held: []byte("GET /small HTTP/1.1\r\nHost: a\r\n\r\n")}),
	}
	var all []byte
	for i, state := range states {
		for socket := range byte(12) {
			one := append([]byte{socket, byte(i), byte(len(state))}, state...)
			if all = append(all, one...); socket == 0 {
				f.Add(one)
			}
		}
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, script []byte) {
		servetest.NoLeaks(t, func(t *testing.T) {
			l := newLoops(t)
			others := foreign(t)
			socket, client := blocking(t)
			kinds := []int{socket, -1}
			for _, name := range slices.Sorted(maps.Keys(others)) {
				kinds = append(kinds, others[name])
			}
			from, to := newHandover(t)
			l.last.Order(serve.TakeOver{FD: to})
			for range 100 {
				if len(script) < 3 {
					break
				}
				fd, file, n := kinds[int(script[0])%len(kinds)], kinds[int(script[1])%len(kinds)], min(int(script[2]), len(script)-3)
				if fd >= 0 {
					_ = ipc.SendConnection(from, script[3:3+n], fd, file) // fails if the channel is full
				}
				script = script[3+n:]
			}
			unix.Close(from)
			c := l.client()
			c.ask()
			c.Close()
			client.Close()
			l.last.Stop()
		})
	})
}
