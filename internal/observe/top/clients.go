package top

import (
	"cmp"
	"math"
	"net/netip"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"phalanx/internal/observe/status"
)

// maxSamples is the number of refreshes over which the rate of a download is computed:
// the server sends in bursts of a MiB, so a single second says little.
const maxSamples = 10

// client is a connection with its recent samples.
type client struct {
	status.Connection
	addr netip.AddrPort     // of Client, for sorting; zero if it is not an address
	past [maxSamples]sample // of the current response, the latest first
	seen int                // number of samples in past
}

// sample is how many bytes of a response had been sent at a time.
type sample struct {
	at   time.Time
	sent int64
}

// remaining returns the number of bytes still to be sent, for sorting: 0 if the size of
// the response is unknown, -1 if there is no response.
func (c *client) remaining() int64 {
	switch {
	case c.Size > 0:
		return max(0, c.Size-c.Sent)
	case c.State == status.ConnSending:
		return 0
	}
	return -1
}

// rate returns the bytes sent per second, and whether it is known yet.
func (c *client) rate() (float64, bool) {
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

// eta returns the seconds until the response is complete at the current rate, and whether
// that is known.
func (c *client) eta() (float64, bool) {
	v, ok := c.rate()
	if !ok || v < 1 || c.Size <= 0 {
		return 0, false
	}
	return float64(c.remaining()) / v, true
}

// share returns the share of the response that has been sent, and whether it is known.
func (c *client) share() (float64, bool) {
	if c.Size <= 0 {
		return 0, false
	}
	return max(0, min(1, float64(c.Sent)/float64(c.Size))), true
}

// merge returns the clients of a new list. A client that is still receiving the same
// response keeps its samples.
func merge(before []*client, list []status.Connection, at time.Time) []*client {
	list = list[:min(len(list), status.MaxConnections)]
	known := make(map[string][]*client, len(before))
	for _, c := range before {
		known[c.Client] = append(known[c.Client], c)
	}
	now := make([]*client, len(list))
	for i, conn := range list {
		c := &client{Connection: conn}
		c.past[0], c.seen = sample{at, conn.Sent}, 1
		if all := known[conn.Client]; len(all) > 0 {
			c.addr = all[0].addr
			if b := earlier(all, conn, at); b != nil {
				c.seen = min(b.seen+1, maxSamples)
				copy(c.past[1:], b.past[:])
			}
		} else if a, err := netip.ParseAddrPort(conn.Client); err == nil {
			c.addr = a
		}
		now[i] = c
	}
	return now
}

// maxAlike is the number of clients with the same address among which one is found.
const maxAlike = 100

// earlier returns which client of an earlier list, of those with the same address, is receiving
// the response of conn; nil if none is, or there are too many. There may be several: all clients
// of a unix socket have one address. Their requests began at different times.
func earlier(all []*client, conn status.Connection, at time.Time) (found *client) {
	if len(all) > maxAlike {
		return nil
	}
	least := 0.0
	for _, b := range all {
		if b.State != conn.State || b.Line != conn.Line || b.Size != conn.Size || conn.Sent < b.Sent || conn.Age < b.Age {
			continue
		}
		began := math.Abs(at.Sub(b.past[0].at).Seconds() - (conn.Age - b.Age)) // the difference
		if found == nil || began < least {
			found, least = b, began
		}
	}
	return found
}

// clients is the list of one worker's connections.
type clients struct {
	sheet[*client]
	slot, pid int
	total     int // connections, including those not listed
	states    map[string]int
	longest   int // bytes of the longest address
	loaded    bool
	err       error
}

func newClients(slot, pid int) *clients {
	c := &clients{slot: slot, pid: pid}
	c.by, c.alike = sentColumn, func(a, b *client) int {
		return pick(a.Client == b.Client && c.cursor.at > 0, 1, 0) // or else it stays at the top
	}
	return c
}

// sentColumn is the column by which the connections are sorted at first.
const sentColumn = "SENT/SIZE"

// columns returns the columns of the list in a window of a width.
func (c *clients) columns(width int) []column[*client] {
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
	from := text("CLIENT", max(9, min(c.longest, most)), 0, func(c C, width int) string { return cutMiddle(c.Client, width) })
	from.order = func(a, b C) int { return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.Client, b.Client)) }
	sent := number(sentColumn, 9, 4, sentOf)
	sent.order = func(a, b C) int {
		return cmp.Or(cmp.Compare(b.remaining(), a.remaining()), cmp.Compare(b.Age, a.Age), a.addr.Compare(b.addr))
	}
	old := number("AGE", 5, 7, func(c C) string { return age(c.Age) })
	old.order = func(a, b C) int { return cmp.Or(cmp.Compare(b.Age, a.Age), a.addr.Compare(b.addr)) }
	return []column[C]{from, state, request, done, sent, number("B/S", 4, 1, rateCell), number("ETA", 5, 6, etaCell), old}
}

// requestCell shortens a request to the width: it drops the method GET, then the query,
// then the middle of the path.
func requestCell(c *client, width int) string {
	s := strings.TrimPrefix(c.Line, "GET ")
	if path, _, ok := strings.Cut(s, "?"); ok && len(s) > width {
		s = pick(len(path)+2 <= width, path+"?"+ellipsis, path)
	}
	return cutMiddle(s, width)
}

// brief returns a state in at most five cells.
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

// wholePercent rounds down, so that only a complete response has 100%.
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

func rateCell(c *client) string {
	v, ok := c.rate()
	if !ok {
		return "-"
	}
	return size(int64(v))
}

func etaCell(c *client) string {
	v, ok := c.eta()
	if !ok {
		return "-"
	}
	return age(v)
}
