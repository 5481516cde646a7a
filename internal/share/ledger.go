package share

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"phalanx/internal/human"
)

// Bounds of the ledger, so that a client that requests random names cannot use up memory.
const (
	maxFiles   = 10_000
	maxClients = 1000
	maxShown   = 20 // lines of the summary
)

// ledger records downloads.
type ledger struct {
	files   map[string]*entry
	clients map[string]bool
	bytes   int64
	more    int // files beyond maxFiles
}

// entry is a file that was downloaded.
type entry struct {
	name    string
	bytes   int64 // to all clients
	times   int   // complete downloads
	clients map[string]bool
}

// add records a download; whole means that it was the complete file.
func (l *ledger) add(name, client string, bytes int64, whole bool) {
	if l.files == nil {
		l.files, l.clients = make(map[string]*entry), make(map[string]bool)
	}
	l.bytes += bytes
	if len(l.clients) < maxClients {
		l.clients[client] = true
	}
	e := l.files[name]
	if e == nil {
		if len(l.files) == maxFiles {
			l.more++
			return
		}
		e = &entry{name: name, clients: make(map[string]bool)}
		l.files[name] = e
	}
	e.bytes += bytes
	if whole {
		e.times++
	}
	if len(e.clients) < maxClients {
		e.clients[client] = true
	}
}

// summary returns lines about what was downloaded, the most bytes first.
func (l *ledger) summary() []string {
	if len(l.files) == 0 {
		return []string{"Nothing was downloaded."}
	}
	all := slices.SortedFunc(maps.Values(l.files), func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.name, b.name))
	})
	total := fmt.Sprintf("Downloaded %s, %s, by %s:", human.Plural(len(all)+l.more, "file", "files"), human.Bytes(l.bytes),
		human.Plural(len(l.clients), "client", "clients"))
	lines := []string{total}
	for _, e := range all[:min(len(all), maxShown)] {
		lines = append(lines, fmt.Sprintf("  %8s  %s%s", human.Bytes(e.bytes), e.name, e.note()))
	}
	if n := len(all) + l.more - min(len(all), maxShown); n > 0 {
		lines = append(lines, "  and "+human.Plural(n, "more file", "more files"))
	}
	return lines
}

// note describes how often a file was downloaded and by whom.
func (e *entry) note() string {
	times := fmt.Sprintf("%d times", e.times)
	switch e.times {
	case 0:
		times = "in parts"
	case 1:
		times = "once"
	}
	clients := slices.Sorted(maps.Keys(e.clients))
	who := strings.Join(clients, ", ")
	if len(clients) > 3 {
		who = fmt.Sprintf("%d clients", len(clients))
	}
	return fmt.Sprintf(" (%s, by %s)", times, who)
}
