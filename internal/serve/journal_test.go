package serve

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/internal/accesslog"
	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/logging"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/proto"
)

// testJournal returns the journal of one connection, at -vv.
func testJournal(file *os.File, format string) *Journal {
	cfg := &Config{Log: logging.New(file, format, 2, logging.Options{NoColor: true}), Verbose: true}
	tally := &Tally{Row: new(scoreboard.Row), Clock: new(Clock)}
	tally.Clock.Start(cfg)
	return &Journal{tally: tally, cfg: cfg, clock: tally.Clock, client: clientip.From(netip.MustParseAddrPort("192.0.2.1:1"))}
}

// exchange returns an exchange whose request has the method and the target.
func exchange(method, target string) *conn.Exchange {
	x := &conn.Exchange{Request: new(proto.Request), Head: []byte(method + " " + target), Status: 200}
	x.Request.MethodName.Len = uint16(len(method))
	x.Request.Target = proto.Span{Off: uint16(len(method) + 1), Len: uint16(len(target))}
	return x
}

// logged returns what write logs through a journal.
func logged(t *testing.T, format string, write func(*Journal)) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write(testJournal(file, format))
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const rawHead = "GET /\"a\\b\" HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\xff\u202eü\r\n\r\n"

// What a client has sent is escaped once, by the encoding of the line.
func TestLogEscapesOnce(t *testing.T) {
	head := func(j *Journal) { j.Received(&conn.Exchange{Request: new(proto.Request), Head: []byte(rawHead)}) }
	request := func(j *Journal) {
		j.Ended(exchange("G\"T\n", "/a\\b \"\r\xff"))
	}
	for _, tt := range []struct {
		format string
		write  func(*Journal)
		want   string
	}{
		{logging.JSON, head, `"head":"GET /\"a\\b\" HTTP/1.1\r\nHost: a\r\nX: \u001b[2J\u00ff\u202e\u00fc\r\n\r\n"`},
		{logging.Console, head, `head="GET /\"a\\b\" HTTP/1.1\r\nHost: a\r\nX: \x1b[2Jÿ\u202eü\r\n\r\n"`},
		{logging.JSON, request, `"method":"G\"T\n","path":"/a\\b \"\r\u00ff"`},
		{logging.Console, request, `"G\"T\n" "/a\\b \"\rÿ" `},
	} {
		if got := logged(t, tt.format, tt.write); !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("the line lacks\n %s:\n %s", tt.want, got)
		}
	}
	var event struct{ Head string }
	if err := json.Unmarshal([]byte(logged(t, logging.JSON, head)), &event); err != nil ||
		event.Head != strings.Replace(rawHead, "\xff", "\u00ff", 1) {
		t.Errorf("decoding the line gives %q, error %v", event.Head, err)
	}
}

// A line with a long request head fits into one write, whatever the head consists of.
func TestLongHeadsAreClipped(t *testing.T) {
	for _, format := range []string{logging.JSON, logging.Console} {
		for _, fill := range []string{"x", "\"", "\\", "\n", "\x01", "\xff", "\u202e", "ü", "\U0001f6e1"} {
			t.Run(fmt.Sprintf("%s %q", format, fill), func(t *testing.T) {
				long := []byte(strings.Repeat(fill, 16<<10/len(fill)))
				got := logged(t, format, func(j *Journal) { j.Received(&conn.Exchange{Request: new(proto.Request), Head: long}) })
				if len(got) > 4095 || !strings.Contains(got, "head") || strings.Contains(got, "too long") ||
					!strings.Contains(got, "…") || strings.Count(got, "\n") != 1 {
					t.Errorf("a line of %d bytes, want at most 4095 with a clipped head: %.80s", len(got), got)
				}
			})
		}
	}
}

// Logging allocates nothing, for the peer as client and for one that a trusted proxy names.
func TestLogAllocations(t *testing.T) {
	file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	j := testJournal(file, logging.JSON)
	ring, err := accesslog.NewRing(make([]byte, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	j.cfg.Access = accesslog.NewLogger(accesslog.JSON, ring, -1)
	request, head := exchange("GET", "/a%20path?\"x\""), &conn.Exchange{Request: new(proto.Request), Head: []byte(rawHead)}
	forwarded := exchange("GET", "/")
	forwarded.Client = clientip.From(netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535"))
	ended := func(x *conn.Exchange) {
		j.Ended(x)
		j.tally.Settle()
		a, b := ring.Readable()
		ring.Consume(len(a) + len(b))
	}
	for what, write := range map[string]func(){
		"request":           func() { ended(request) },
		"forwarded request": func() { ended(forwarded) },
		"head":              func() { j.Received(head) },
	} {
		if n := testing.AllocsPerRun(100, write); n != 0 {
			t.Errorf("%v allocations for a %s, want none", n, what)
		}
	}
}

// A slow request is logged with the part that was slow, a fast one without.
func TestSlowPart(t *testing.T) {
	at := func(j *Journal, now time.Duration) { j.clock.began = time.Now().Add(-now) }
	for want, play := range map[string]func(*Journal, *conn.Exchange){
		`"slow":"receive","slow_ms":3000`: func(j *Journal, x *conn.Exchange) { at(j, 4*time.Second); j.Received(x); j.Decided(x) },
		`"slow":"open","slow_ms":20`: func(j *Journal, x *conn.Exchange) {
			at(j, time.Second)
			x.Noted = conn.Noted{Headed: 3 * time.Second, Decided: 23 * time.Second}
			at(j, 24*time.Second)
		},
		`"slow":"disk","slow_ms":19`: func(j *Journal, x *conn.Exchange) {
			at(j, 3*time.Second)
			j.Received(x)
			j.Decided(x)
			j.Fetch(true)
			at(j, 22*time.Second+500*time.Millisecond)
			j.Fetch(false)
			at(j, 30*time.Second)
		},
		`"slow":"send","slow_ms":29`: func(j *Journal, x *conn.Exchange) {
			at(j, 500*time.Millisecond)
			j.Received(x)
			j.Decided(x)
			at(j, 30*time.Second)
		},
	} {
		line := logged(t, logging.JSON, func(j *Journal) {
			r := exchange("GET", "/")
			play(j, r)
			r.ID = []byte("an-id")
			if strings.Contains(want, "receive") || strings.Contains(want, "open") || strings.Contains(want, "disk") {
				r.Headed = 3 * time.Second
			}
			if !strings.Contains(want, "receive") {
				r.Began = r.Headed
			}
			j.Ended(r)
		})
		if !strings.Contains(line, want) || !strings.Contains(line, `"id":"an-id"`) {
			t.Errorf("the line lacks %s:\n %s", want, line)
		}
	}
	fast := logged(t, logging.JSON, func(j *Journal) {
		x := exchange("GET", "/")
		j.Received(x)
		j.Decided(x)
		j.Ended(x)
	})
	if strings.Contains(fast, "slow") || strings.Contains(fast, `"id"`) {
		t.Errorf("a fast request is logged as %s, want no slow part and no id", fast)
	}
	j := &Journal{clock: &Clock{}}
	if part, lasted := j.slowest(&conn.Exchange{Began: time.Second}, 10*time.Second); part != "send" || lasted != 9*time.Second {
		t.Errorf("a request that another worker began: %s, %v; want send, 9s", part, lasted)
	}
}

// Credentials are never logged, even if the head is.
func TestLogNoCredentials(t *testing.T) {
	var p proto.Parser
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\nauthorization:  Basic Z3Vlc3Q6c2VjcmV0 \r\nX: y\r\n\r\n")
	if p.Parse(head) != proto.Complete {
		t.Fatal("the request was not parsed")
	}
	for _, format := range []string{logging.JSON, logging.Console} {
		got := logged(t, format, func(j *Journal) { j.Received(&conn.Exchange{Request: p.Request(), Head: head}) })
		if strings.Contains(got, "Z3V") || !strings.Contains(got, "authorization:  "+strings.Repeat("*", 22)) || !strings.Contains(got, "X: y") {
			t.Errorf("%s: %s, want the credentials masked", format, got)
		}
	}
}

// A request of another client than the connection's is logged with that client.
func TestLogNamesClientOfExchange(t *testing.T) {
	proxied := clientip.From(netip.MustParseAddrPort("203.0.113.7:0"))
	for client, want := range map[clientip.Addr]string{{}: "192.0.2.1:1", proxied: "203.0.113.7"} {
		got := logged(t, logging.JSON, func(j *Journal) {
			x := exchange("GET", "/")
			x.Client = client
			j.Received(x)
			j.Ended(x)
		})
		if n := strings.Count(got, `"client":"`+want+`"`); n != 2 {
			t.Errorf("%d of two lines have client %s:\n%s", n, want, got)
		}
	}
}
