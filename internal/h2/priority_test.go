package h2

import (
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

func TestParsePriority(t *testing.T) {
	for value, want := range map[string]priority{
		"":               {3, false},
		"u=0":            {0, false},
		"u=7, i":         {7, true},
		"i,u=1":          {1, true},
		"i=?0":           {3, false},
		"i=?1":           {3, true},
		"u=8":            {3, false},
		"u=-1":           {3, false},
		"u=1;x=2, i;q=1": {1, true},
		"u=2, u=5":       {5, false},
		"x=\"u\", ,u=4,": {4, false},
		"u":              {3, false},
		"i=1":            {3, false},
	} {
		if got := parsePriority([]byte(value)); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
}

// share requests downloads with closed windows, opens the windows for n frames, and returns
// the sequence of the streams' DATA frames.
func share(t *testing.T, n uint32, ask func(c *client)) []uint32 {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.framer.WriteWindowUpdate(0, 1<<30)
	ask(c)
	c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: n * maxFrame})
	c.flush()
	return c.order
}

func TestPrioritiesAreHeeded(t *testing.T) {
	for _, r := range []struct {
		name string
		n    uint32
		ask  func(c *client)
		want []uint32
	}{
		{"urgency", 2, func(c *client) {
			c.get(1, "/huge", "priority", "u=5")
			c.get(3, "/huge", "priority", "u=1")
			c.get(5, "/huge")
		}, []uint32{3, 3, 5, 5, 1, 1}},
		{"in sequence", 2, func(c *client) {
			c.get(1, "/huge", "priority", "u=3")
			c.get(3, "/huge", "priority", "u=3")
		}, []uint32{1, 1, 3, 3}},
		{"in turns", 2, func(c *client) {
			c.get(1, "/huge", "priority", "i")
			c.get(3, "/huge", "priority", "i")
			c.get(5, "/huge", "priority", "i")
		}, []uint32{1, 3, 5, 1, 3, 5}},
		{"both", 2, func(c *client) {
			c.get(1, "/huge", "priority", "i")
			c.get(3, "/huge", "priority", "u=3")
			c.get(5, "/huge", "priority", "i")
		}, []uint32{1, 3, 5, 3, 1, 5}},
		{"a client without priorities", 2, func(c *client) {
			c.get(1, "/huge")
			c.get(3, "/huge")
		}, []uint32{1, 3, 1, 3}},
		{"changed by a frame", 2, func(c *client) {
			c.get(1, "/huge", "priority", "u=3")
			c.get(3, "/huge", "priority", "u=3")
			c.flush()
			c.framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x03u=1"))
		}, []uint32{3, 3, 1, 1}},
		{"given before the request", 2, func(c *client) {
			c.framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x03u=1"))
			c.get(1, "/huge", "priority", "u=3")
			c.get(3, "/huge", "priority", "u=6")
		}, []uint32{3, 3, 1, 1}},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := share(t, r.n, r.ask); !slices.Equal(got, r.want) {
				t.Errorf("%v, want %v", got, r.want)
			}
		})
	}
}

// The order of streams does not depend on the order in which they become able to send.
func TestQueue(t *testing.T) {
	var q queue
	streams := map[uint32]*stream{}
	for _, id := range []uint32{9, 3, 5, 1, 7} {
		streams[id] = &stream{id: id, priority: priority{urgency: 2}}
		q.push(streams[id])
	}
	q.remove(streams[5])
	q.remove(streams[1])
	q.push(streams[1])
	var got []uint32
	for s := q.next(); s != nil; s = q.next() {
		got = append(got, s.id)
		q.remove(s)
	}
	if !slices.Equal(got, []uint32{1, 3, 7, 9}) || q.filled != 0 {
		t.Errorf("%v, %x", got, q.filled)
	}
}
