package control

import (
	"cmp"
	"os"
	"slices"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
	"phalanx/internal/serve"
)

// show writes the list of all connections into a file, and closes it. The engine makes
// the list; writing it must not delay the engine.
func (c *Control) show(id uint32, fd int, all <-chan []serve.Seen) {
	file := os.NewFile(uintptr(fd), "list")
	defer file.Close()
	seen, ok := <-all
	if !ok {
		return // the engine has ended
	}
	list := listed(seen)
	if list.WriteList(file) == nil {
		_ = c.channel.Send(ipc.Shown{ID: id}) // if this fails, the request times out
	}
}

// listed sorts the list: downloads first, by bytes left, then the longest-lasting. It
// leaves out what exceeds the limits.
func listed(seen []serve.Seen) status.Connections {
	slices.SortFunc(seen, func(a, b serve.Seen) int {
		return cmp.Or(cmp.Compare(b.Size-b.Sent, a.Size-a.Sent), cmp.Compare(b.Age, a.Age), cmp.Compare(a.Client, b.Client))
	})
	list := status.Connections{Total: len(seen)}
	for _, s := range seen[:min(len(seen), status.MaxConnections)] {
		list.Connections = append(list.Connections, status.Connection{
			Client: s.Client, Protocol: s.Version.String(), Streams: s.Streams, State: word(s.State), Line: string(s.Line), Sent: s.Sent, Size: s.Size, Age: s.Age.Seconds(),
		})
	}
	return list
}

func word(s conn.State) string {
	switch s {
	case conn.Idle:
		return status.ConnIdle
	case conn.Receiving:
		return status.ConnReceiving
	case conn.Sending:
		return status.ConnSending
	}
	return status.ConnEnding
}
