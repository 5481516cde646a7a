package serve_test

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/proto"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// The scoreboard row equals what clients received, to the last request and byte.
func TestCounters(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, filepath.Join(dir, "small"), 1000)
	servetest.Noise(t, filepath.Join(dir, "large"), 3<<20)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(c *serve.Config) { c.Row = &row })
		var got uint64
		take := func(ask string) {
			c := s.DialWith(ask)
			n, err := io.Copy(io.Discard, c)
			if err != nil {
				t.Fatal(err)
			}
			got += uint64(n)
			c.Close()
		}
		closing := "Connection: close"
		take(servetest.Get("/small") + servetest.Get("/small") + servetest.Get("/none") + servetest.Get("/large", closing))
		take(servetest.Get("/small", "If-None-Match: *", closing))
		take("BAD\r\n\r\n")
		take("BREW / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		s.Stop()
		read := row.Read()
		if read.Requests != [6]uint64{0, 0, 3, 1, 2, 1} || read.Bytes != got || read.Accepted != 4 || read.Truncated+read.TimedOut+read.Dropped != 0 {
			t.Errorf("requests %v, %d bytes, %d connections; clients received %d bytes\n%+v", read.Requests, read.Bytes, read.Accepted, got, read)
		}
		if n := read.Latency.Total(); n != 7 || read.LatencyNanos == 0 {
			t.Errorf("%d latencies with a sum of %d ns, want 7", n, read.LatencyNanos)
		}
		if last, _ := row.Last.Get(); string(last) != "BREW /" || row.Busy.Load() {
			t.Errorf("last request %q, busy %v; want \"BREW /\", not busy", last, row.Busy.Load())
		}
	})
}

// Of a response that a dead worker began, neither site nor start time are known: its bytes are not
// those of the site for all other hosts, and its latency is not the time since the rescue.
func TestUnknownExchange(t *testing.T) {
	var clock serve.Clock
	clock.Start(&serve.Config{})
	for status, want := range map[proto.Status]uint64{0: 0, 200: 1} {
		row := new(scoreboard.Row)
		tally := serve.Tally{Row: row, Clock: &clock, Sites: true}
		tally.Ended(&conn.Exchange{Status: status, Bytes: 1000})
		tally.Settle()
		read := row.Read()
		if n, sent := read.Latency.Total(), row.Sites[0].Bytes.Load(); n != want || sent != 1000*want {
			t.Errorf("status %d: %d latencies, %d bytes of the site", status, n, sent)
		}
	}
}

// A response is counted as truncated if the client disconnects.
func TestTruncatedResponseIsCounted(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, filepath.Join(dir, "large"), 32<<20)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(c *serve.Config) { c.Row = &row })
		c := s.DialWith(servetest.Get("/large"))
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		systest.Await(t, "a truncated response", func() bool { return row.Truncated.Load() == 1 })
		s.Stop()
		if read := row.Read(); read.Requests[2] != 1 || read.Latency.Total() != 0 {
			t.Errorf("requests %v, %d latencies; want one request and no latency", read.Requests, read.Latency.Total())
		}
	})
}

// The states of the connections are in the row within about a second, and in a list at once.
func TestConnectionStates(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, filepath.Join(dir, "large"), 32<<20)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(c *serve.Config) { c.Row = &row })
		idle, half, busy := s.Dial(), s.Dial(), s.Dial()
		servetest.Send(t, idle, servetest.Get("/none"))
		servetest.Receive(t, bufio.NewReader(idle))
		servetest.Send(t, half, "GET /half HT")
		servetest.Send(t, busy, servetest.Get("/large?x"))
		if _, err := io.ReadFull(busy, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		want := []string{
			fmt.Sprintf("%s %d %q", idle.LocalAddr(), conn.Idle, ""),
			fmt.Sprintf("%s %d %q", half.LocalAddr(), conn.Receiving, ""),
			fmt.Sprintf("%s %d %q", busy.LocalAddr(), conn.Sending, "GET /large?x"),
		}
		var all []serve.Seen
		// A response may have been received before it is counted, and a request sent before it is received.
		systest.Await(t, "a list with all three in their states", func() bool {
			answer := make(chan []serve.Seen, 1)
			s.Order(serve.List{Reply: answer})
			all = <-answer
			slices.SortFunc(all, func(a, b serve.Seen) int { return int(a.State) - int(b.State) })
			var got []string
			for _, v := range all {
				got = append(got, fmt.Sprintf("%s %d %q", v.Client, v.State, v.Line))
			}
			return slices.Equal(got, want) && all[2].Sent >= 100_000
		})
		if v := all[2]; v.Size != 32<<20 || v.Sent >= v.Size || v.Age <= 0 || v.Age > time.Minute {
			t.Errorf("the download is listed with %d of %d bytes in %v", v.Sent, v.Size, v.Age)
		}
		systest.Await(t, "a row with all three", func() bool { return row.Active.Load() == 3 && row.Idle.Load() == 1 })
		systest.Await(t, "the oldest request in the row", func() bool {
			text, at := row.Oldest.Get()
			return at != 0 && (len(text) == 0 || strings.HasPrefix(string(text), "GET /large"))
		})
		if row.Beat.Load() == 0 {
			t.Error("the row has no heartbeat")
		}
		half.Close()
		busy.Close()
		systest.Await(t, "a row with the idle connection only", func() bool {
			_, at := row.Oldest.Get()
			return row.Active.Load() == 1 && row.Idle.Load() == 1 && at == 0
		})
		idle.Close()
		s.Stop()
	})
}

// A client that has sent nothing is idle, also if a TLS handshake must come first.
func TestSilentClientIsIdle(t *testing.T) {
	dir := t.TempDir()
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		credentials, _ := servetest.Credentials(t, nil)
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		silent, begun := s.Dial(), s.DialWith("\x16")
		systest.Await(t, "an idle and a busy connection", func() bool {
			answer := make(chan []serve.Seen, 1)
			s.Order(serve.List{Reply: answer})
			states := make(map[string]conn.State)
			for _, seen := range <-answer {
				states[seen.Client] = seen.State
			}
			state, listed := states[silent.LocalAddr().String()]
			return listed && state == conn.Idle && states[begun.LocalAddr().String()] == conn.Receiving
		})
		silent.Close()
		begun.Close()
		s.Stop()
	})
}
