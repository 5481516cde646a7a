package top

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/observe/status"
)

// listBench shows the connections of worker 1, which are in *list.
func listBench(t *testing.T, list *[]status.Connection, w, h int) *bench {
	b := newBench(t, aPool(3), w, h)
	b.src.connections = func(slot, pid int) (status.Connections, error) {
		return status.Connections{Slot: slot, PID: pid, Total: len(*list), Connections: *list}, nil
	}
	b.press("j", "enter")
	return b
}

func names(b *bench) string {
	var s []string
	for _, c := range b.clients.rows {
		s = append(s, strings.TrimSuffix(c.Client, ":1"))
	}
	return strings.Join(s, " ")
}

func TestSpeed(t *testing.T) {
	list := []status.Connection{{Client: "192.0.2.1:1", State: status.ConnSending, Line: "GET /a", Sent: 0, Size: 100e6, Age: 1}}
	b := listBench(t, &list, 80, 24)
	b.expect("worker 1", "1 connection", "0/100M", "  0%", "/a")
	for i := range 5 {
		list[0].Sent, list[0].Age = int64(i+1)*2e6, float64(i+2)
		b.wait(time.Second)
	}
	b.expect("10M/100M", " 10%", "2.0M", "45s", "10.0 MB of 100 MB sent (10%), 2.00 MB/s, 45s to go")

	// The transfer has stalled: that is noticed within five refreshes.
	for range maxSamples {
		list[0].Age++
		b.wait(time.Second)
	}
	if v, ok := b.clients.rows[0].rate(); !ok || v != 0 {
		t.Errorf("%v %v", v, ok)
	}
	if _, ok := b.clients.rows[0].eta(); ok {
		t.Error("a stalled transfer has a remaining time")
	}

	// The next request on the connection has another response.
	list[0] = status.Connection{Client: "192.0.2.1:1", State: status.ConnSending, Line: "GET /a", Sent: 50e6, Size: 100e6, Age: 0.5}
	b.wait(time.Second)
	if _, ok := b.clients.rows[0].rate(); ok {
		t.Error("a rate from the previous response")
	}
}

// All clients of a unix socket have one address. Each has its own rate.
func TestSpeedOverUnixSocket(t *testing.T) {
	list := []status.Connection{
		{Client: "unix:", State: status.ConnSending, Line: "GET /a", Sent: 90e6, Size: 100e6, Age: 50},
		{Client: "unix:", State: status.ConnSending, Line: "GET /a", Sent: 10e6, Size: 100e6, Age: 5},
	}
	b := listBench(t, &list, 80, 24)
	b.press("s") // by age, the oldest first
	list[0].Sent, list[1].Sent = 92e6, 11e6
	list[0].Age, list[1].Age = 51, 6
	b.wait(time.Second)
	for i, want := range []float64{2e6, 1e6} {
		if got, ok := b.clients.rows[i].rate(); !ok || got != want {
			t.Errorf("client %d: %v bytes a second, known %v; want %v", i, got, ok, want)
		}
	}
}

func TestSortClients(t *testing.T) {
	list := []status.Connection{
		{Client: "192.0.2.9:1", State: status.ConnIdle, Age: 50},
		{Client: "192.0.2.10:1", State: status.ConnSending, Sent: 10, Size: 100, Age: 3},
		{Client: "[2001:db8::1]:1", State: status.ConnSending, Sent: 0, Size: 80, Age: 9},
		{Client: "192.0.2.2:1", State: status.ConnSending, Sent: 5, Age: 1},
	}
	b := listBench(t, &list, 80, 24)
	for _, c := range []struct{ key, mark, want string }{
		{"", "▼SENT/SIZE", "192.0.2.10 [2001:db8::1] 192.0.2.2 192.0.2.9"},
		{"s", "▼AGE", "192.0.2.9 [2001:db8::1] 192.0.2.10 192.0.2.2"},
		{"s", "▼CLIENT", "192.0.2.2 192.0.2.9 192.0.2.10 [2001:db8::1]"},
		{"r", "▲CLIENT", "[2001:db8::1] 192.0.2.10 192.0.2.9 192.0.2.2"},
		{"<", "▲AGE", "192.0.2.2 192.0.2.10 [2001:db8::1] 192.0.2.9"},
	} {
		b.press(strings.Fields(c.key)...)
		if names(b) != c.want {
			t.Errorf("after %q: %s, want %s", c.key, names(b), c.want)
		}
		b.expect(c.mark)
	}
	// The cursor stays with its client.
	b.press("home", "j")
	b.expect("192.0.2.10:1 sending")
	b.press("r", "s")
	b.expect("192.0.2.10:1 sending")
	list = list[:2]
	b.wait(time.Second)
	b.expect("192.0.2.10:1 sending", "2 connections")
	list = list[:1]
	b.wait(time.Second)
	b.expect("192.0.2.9:1 idle")
}

func TestHostileRequests(t *testing.T) {
	list := []status.Connection{
		{Client: "\x1b[2J", State: "\u202e", Line: "GET /\x1b]0;x\x07\u202e/日本語日本語日本語日本語日本語日本語日本語\xff", Age: 1e300},
		{Client: strings.Repeat("é", 500), State: status.ConnSending, Line: strings.Repeat("e\u0301", 500), Sent: -1, Size: -1, Age: -1},
		{Client: "x", State: status.ConnSending, Sent: 1 << 62, Size: 1, Age: 0},
	}
	for _, w := range []int{16, 20, 40, 80, 120, 200} {
		b := listBench(t, &list, w, 24)
		for range 3 {
			for _, l := range b.screen() {
				if strings.ContainsAny(l, "\x1b\u202e\u0301\x07") {
					t.Errorf("%q", l)
				}
			}
			b.press("j")
		}
	}
}

func TestListErrors(t *testing.T) {
	list := []status.Connection{{Client: "192.0.2.1:1", State: status.ConnIdle}}
	b := listBench(t, &list, 80, 24)
	b.src.connections = func(slot, pid int) (status.Connections, error) {
		return status.Connections{}, errors.New("worker 1 (pid 1204243) does not answer")
	}
	b.wait(time.Second)
	b.expect("worker 1 (pid 1204243) does not answer; press esc to go back", "192.0.2.1:1")
	b.src.pool = func() (status.Pool, error) { return aPool(1), nil }
	b.wait(time.Second)
	b.expect("worker exited; press esc to go back", "exited")
	b.press("esc")
	b.expect("q quit", "12345 req/s")

	// A slot without a process has no connections.
	b = newBench(t, aPool(3), 80, 24)
	b.press("j", "j", "enter")
	if b.clients != nil {
		t.Error("a slot without a process has connections")
	}
}

// A response that arrives when another list is requested is not taken for that list.
func TestLateList(t *testing.T) {
	b := newBench(t, aPool(4), 80, 24)
	b.model.press("enter")
	b.expect("loading")
	b.model.press("esc")
	b.press("j")
	if cmd := b.model.press("enter"); cmd != nil {
		t.Error("a second list is requested while one is under way")
	}
	_, cmd := b.Update(listMsg{slot: 0, pid: 1_204_242, list: aList(0, 1_204_242, 7)})
	if cmd == nil || b.clients.loaded {
		t.Fatal("the late list was used, or the right one is not requested")
	}
	b.src.connections = func(slot, pid int) (status.Connections, error) { return aList(slot, pid, 3), nil }
	b.run(cmd)
	b.expect("worker 1", "3 connections")
}

func TestManyConnections(t *testing.T) {
	b := newBench(t, aPool(3), 120, 40)
	n := 10_000
	b.src.connections = func(slot, pid int) (status.Connections, error) { return aList(slot, pid, n), nil }
	b.press("enter")
	b.expect("10,000 connections", "3,334 send, 6,666 idle")
	b.press("end")
	b.expect(fmt.Sprintf("▶ %s", b.clients.rows[n-1].Client))
	b.press("pgup", "k")

	key := fastest(20, func() {
		b.press("k")
		_ = b.View()
	})
	if key > 800*time.Millisecond {
		t.Errorf("a key takes %v", key)
	} else {
		t.Logf("a key and its frame take %v", key)
	}
	l := listMsg{slot: 0, pid: 1_204_242, list: aList(0, 1_204_242, n), at: noon}
	if took := fastest(3, func() { b.Update(l) }); took > 2*time.Second {
		t.Errorf("a refresh takes %v", took)
	} else {
		t.Logf("a look takes %v", took)
	}

	// A server that lists more connections than the limit does not fill the memory.
	b.Update(listMsg{slot: 0, pid: 1_204_242, list: aList(0, 1_204_242, status.MaxConnections+500)})
	if len(b.clients.rows) != status.MaxConnections {
		t.Errorf("%d are kept", len(b.clients.rows))
	}
	b.expect("20,500 connections", "20,000 listed")
}

// fastest returns the shortest time of several calls: a machine may stand still during one.
func fastest(times int, f func()) time.Duration {
	least := time.Hour
	for range times {
		begin := time.Now()
		f()
		least = min(least, time.Since(begin))
	}
	return least
}

// For any window, keys and pool there is no panic, and the screen fits.
func FuzzView(f *testing.F) {
	f.Add(80, 24, 4, 20, []byte("jsr?\x1bcjs"), "GET /a", 1.5)
	f.Add(20, 5, 0, 0, []byte("cpjk"), "\u202e日本語", -1.0)
	f.Add(1, 1, 1, 1, []byte("Ggc"), "\x1b[2J", 1e300)
	f.Add(300, 90, 130, 300, []byte("jjcsssrr"), "\xff", 0.0)
	keys := []string{"j", "k", "G", "g", "s", "<", "r", "p", "c", "esc", "?", "pgdown", "pgup", "h", "wait", "break", "grow", "shrink"}
	f.Fuzz(func(t *testing.T, w, h, workers, conns int, script []byte, text string, value float64) {
		w, h = min(max(w, -1), 400), min(max(h, -1), 200)
		p := aPool(min(max(workers, 0), 200))
		p.Base, p.Address, p.Version, p.Total.Rate, p.Total.Bandwidth = text, text, text, value, value
		for i := range p.Workers {
			x := &p.Workers[i]
			x.Rate, x.P99, x.CPU, x.Oldest = value, value, value, &status.Request{Line: text, Age: value}
			x.Active, x.Queue, x.Memory, x.Deaths = conns, workers, int64(conns)<<40, conns
		}
		b := newBench(t, p, w, h)
		broken := error(nil)
		b.src.pool = func() (status.Pool, error) { return p, broken }
		b.src.connections = func(slot, pid int) (status.Connections, error) {
			l := aList(slot, pid, min(max(conns, 0), 300))
			for i := range l.Connections {
				l.Connections[i].Line, l.Connections[i].Age, l.Connections[i].Size = text, value, int64(value)
			}
			return l, broken
		}
		b.screen()
		for _, k := range script[:min(len(script), 40)] {
			switch key := keys[int(k)%len(keys)]; key {
			case "wait":
				b.wait(time.Second)
			case "break":
				broken = pick(broken == nil, errors.New(text), nil)
				b.wait(time.Second)
			case "grow", "shrink":
				by := pick(key == "grow", 7, -7)
				b.send(tea.WindowSizeMsg{Width: b.width + by, Height: b.height + by})
			default:
				b.press(key)
			}
			b.screen()
		}
		for line := range strings.Lines(Snapshot(p, max(w, 1))) {
			if textWidth(strings.TrimSuffix(line, "\n")) > max(w, 1) {
				t.Fatalf("%q is wider than %d", line, w)
			}
		}
	})
}
