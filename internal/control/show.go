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

// show writes the list of all connections into a file, which it closes. The
// making is the engine's; the rest need not hold it up.
func (c *Control) show(id uint32, fd int, all <-chan []serve.Seen) {
	file := os.NewFile(uintptr(fd), "list")
	defer file.Close()
	seen, ok := <-all
	if !ok {
		return // the engine has ended
	}
	list := listed(seen)
	if list.WriteList(file) == nil {
		_ = c.channel.Send(ipc.Shown{ID: id}) // who asks learns by a timeout that it cannot be had
	}
}

// listed puts downloads first, the one with most left before all, and then what
// has lasted longest. What is too much is left out.
func listed(seen []serve.Seen) status.Connections {
	slices.SortFunc(seen, func(a, b serve.Seen) int {
		return cmp.Or(cmp.Compare(b.Size-b.Sent, a.Size-a.Sent), cmp.Compare(b.Age, a.Age), cmp.Compare(a.Client, b.Client))
	})
	list := status.Connections{Total: len(seen)}
	for _, s := range seen[:min(len(seen), status.MaxConnections)] {
		list.Connections = append(list.Connections, status.Connection{
			Client: s.Client, State: word(s.State), Line: string(s.Line), Sent: s.Sent, Size: s.Size, Age: s.Age.Seconds(),
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
