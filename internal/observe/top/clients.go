package top

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"phalanx/internal/observe/status"
)

// samples is over how many looks the speed of a download is taken: the server
// sends in bursts of a MiB, and one second alone tells little.
const samples = 10

// client is a connection with what only several looks can tell.
type client struct {
	status.Connection
	addr netip.AddrPort // of Client, for sorting; zero when it is no address
	past [samples]mark  // of the reply that is sent now; the first is the latest
	seen int            // how many of them are used
}

type mark struct {
	at   time.Time
	sent int64
}

// rest is how many bytes are still to be sent; what is not known counts as
// more than nothing.
func (c *client) rest() int64 {
	switch {
	case c.Size > 0:
		return max(0, c.Size-c.Sent)
	case c.State == status.ConnSending:
		return 0
	}
	return -1
}

// speed returns bytes per second, and whether they are known yet.
func (c *client) speed() (float64, bool) {
	if c.seen < 2 || c.State != status.ConnSending {
		return 0, false
	}
	first, last := c.past[c.seen-1], c.past[0]
	took := last.at.Sub(first.at).Seconds()
	if took <= 0 {
		return 0, false
	}
	return float64(last.sent-first.sent) / took, true
}

// left is in how many seconds it will be done, at this speed.
func (c *client) left() (float64, bool) {
	v, ok := c.speed()
	if !ok || v < 1 || c.Size <= 0 {
		return 0, false
	}
	return float64(c.rest()) / v, true
}

// share is how much of the reply has been sent, and whether that is known.
func (c *client) share() (float64, bool) {
	if c.Size <= 0 {
		return 0, false
	}
	return max(0, min(1, float64(c.Sent)/float64(c.Size))), true
}

// follow makes clients of a new list, and takes over what the looks before
// have told of those that are the same: with the same peer, and the same
// request in the course of being answered.
func follow(before []*client, list []status.Connection, at time.Time) []*client {
	list = list[:min(len(list), status.MaxConnections)]
	known := make(map[string]*client, len(before))
	for _, c := range before {
		known[c.Client] = c
	}
	now := make([]*client, len(list))
	for i, conn := range list {
		c := &client{Connection: conn}
		c.past[0], c.seen = mark{at, conn.Sent}, 1
		if b, ok := known[conn.Client]; ok {
			c.addr = b.addr
			if b.State == conn.State && b.Line == conn.Line && b.Size == conn.Size && conn.Sent >= b.Sent && conn.Age >= b.Age {
				c.seen = min(b.seen+1, samples)
				copy(c.past[1:], b.past[:])
			}
		} else if a, err := netip.ParseAddrPort(conn.Client); err == nil {
			c.addr = a
		}
		now[i] = c
	}
	return now
}

// The orders of the list of connections.
const (
	byRest   = "rest"
	byAge    = "age"
	byClient = "client"
)

func nextOrder(by string, step int) string {
	all := []string{byRest, byAge, byClient}
	return all[(slices.Index(all, by)+step+len(all))%len(all)]
}

// marked is the column that an order belongs to.
func marked(by string) string {
	return map[string]string{byRest: "SENT/SIZE", byAge: "AGE", byClient: "CLIENT"}[by]
}

func sortClients(all []*client, by string, reversed bool) {
	order := func(a, b *client) int {
		switch by {
		case byAge:
			return cmp.Or(cmp.Compare(b.Age, a.Age), a.addr.Compare(b.addr))
		case byClient:
			return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.Client, b.Client))
		}
		return cmp.Or(cmp.Compare(b.rest(), a.rest()), cmp.Compare(b.Age, a.Age), a.addr.Compare(b.addr))
	}
	slices.SortStableFunc(all, turned(order, reversed))
}

// clientColumns are those of the list of connections; longest is the width of
// the longest address.
func clientColumns(longest, width int) []column[*client] {
	type C = *client
	most, progress := 21, 11 // 255.255.255.255:65535
	switch {
	case width >= 140:
		most, progress = 47, 26
	case width >= wideWindow:
		most, progress = 30, 16
	}
	text := func(name string, width, rank int, cell func(C, int) string) column[C] {
		return column[C]{name: name, width: width, rank: rank, left: true, cell: cell}
	}
	number := func(name string, width, rank int, cell func(C) string) column[C] {
		return column[C]{name: name, width: width, rank: rank, cell: func(c C, _ int) string { return cell(c) }}
	}
	state := text("STATE", 5, 2, func(c C, _ int) string { return brief(c.State) })
	state.paint = func(t theme, c C) lipgloss.Style { return t.state(c.State) }
	done := text("PROGRESS", progress, 5, progressCell)
	done.paint = func(t theme, _ C) lipgloss.Style { return t.graph }
	if width < 40 {
		most = max(9, width-12)
	}
	request := text("REQUEST", 7, 3, requestCell)
	request.flex = true
	return []column[C]{
		text("CLIENT", max(9, min(longest, most)), 0, func(c C, width int) string { return cutMiddle(c.Client, width) }),
		state,
		request,
		done,
		number("SENT/SIZE", 9, 4, sentOf),
		number("B/S", 4, 1, speedCell),
		number("ETA", 5, 6, leftCell),
		number("AGE", 5, 7, func(c C) string { return age(c.Age) }),
	}
}

// requestCell shortens a request to the width, least important parts first: the
// method that nearly all have, the query, then the middle of the path.
func requestCell(c *client, width int) string {
	s := strings.TrimPrefix(c.Line, "GET ")
	if path, _, ok := strings.Cut(s, "?"); ok && len(s) > width {
		s = pick(len(path)+2 <= width, path+"?"+ellipsis, path)
	}
	return cutMiddle(s, width)
}

// brief is a state in five cells.
func brief(state string) string {
	switch state {
	case status.ConnReceiving:
		return "recv"
	case status.ConnSending:
		return "send"
	case status.ConnEnding:
		return "end"
	}
	return clean(state, 5)
}

func progressCell(c *client, width int) string {
	share, ok := c.share()
	if !ok {
		return ""
	}
	return bar(share, width-5) + pad(wholePercent(share), 5, false)
}

// wholePercent says 100 only of what is complete.
func wholePercent(share float64) string {
	return number(float64(int(share*100)), 4, 0) + "%"
}

func sentOf(c *client) string {
	switch {
	case c.Size > 0:
		return size(c.Sent) + "/" + size(c.Size)
	case c.State == status.ConnSending:
		return size(c.Sent) + "/?"
	}
	return "-"
}

func speedCell(c *client) string {
	v, ok := c.speed()
	if !ok {
		return "-"
	}
	return size(int64(v))
}

func leftCell(c *client) string {
	v, ok := c.left()
	if !ok {
		return "-"
	}
	return age(v)
}
