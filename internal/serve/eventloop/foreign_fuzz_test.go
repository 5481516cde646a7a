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

// FuzzTakeOver sends a loop what a worker that was taken over may hand over: any state,
// with any descriptors. The loop serves on, ends when it is told to, and keeps none of
// them open.
func FuzzTakeOver(f *testing.F) {
	idle, sending := conn.AppendState(nil, conn.Remains{}), conn.AppendState(nil, conn.Remains{Rest: 1 << 40})
	f.Add(uint8(0), uint8(0), idle, uint8(1), uint8(0), sending)
	f.Add(uint8(0), uint8(1), sending, uint8(0), uint8(2), conn.AppendState(nil, conn.Remains{Held: []byte("GET /small HTTP/1.1\r\nHost: a\r\n\r\n")}))
	f.Add(uint8(3), uint8(4), []byte{}, uint8(5), uint8(6), append([]byte{0xff, 0, 0, 0, 9}, idle...))
	f.Fuzz(func(t *testing.T, socket1, file1 uint8, state1 []byte, socket2, file2 uint8, state2 []byte) {
		if len(state1) == 0 && len(state2) == 0 {
			return
		}
		servetest.NoLeaks(t, func(t *testing.T) {
			l := newLine(t)
			others := foreign(t)
			socket, client := blocking(t)
			defer client.Close()
			kinds := []int{socket, -1}
			for _, name := range slices.Sorted(maps.Keys(others)) {
				kinds = append(kinds, others[name])
			}
			pick := func(n uint8) int { return kinds[int(n)%len(kinds)] }
			from, to := newHandover(t)
			l.last.Order(serve.TakeOver{FD: to})
			for _, m := range []struct {
				socket, file uint8
				state        []byte
			}{{socket1, file1, state1}, {socket2, file2, state2}} {
				if fd := pick(m.socket); fd >= 0 && len(m.state) <= ipc.MaxState {
					_ = ipc.SendConnection(from, m.state, fd, pick(m.file)) // or the kernel refuses it
				}
			}
			unix.Close(from)
			g := l.guest()
			g.ask()
			g.Close()
			client.Close()
			l.last.Stop()
		})
	})
}
