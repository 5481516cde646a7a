package share

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// writer keeps its output, which can be read at any time.
type writer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *writer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

func request(client, path string, status int, bytes int64, more string) string {
	return fmt.Sprintf(`{"level":"info","slot":0,"client":%q,"method":"GET","path":%q,"status":%d,"bytes":%d,"ms":1500%s,"message":"request"}`+"\n", client, path, status, bytes, more)
}

const reset = `,"reason":"connection reset by peer"`

// On a pipe there is a line for each event, and downloads are counted.
func TestPlainSession(t *testing.T) {
	var out writer
	s := New(Config{Out: &out, What: []string{"/srv/\x1bfiles"}, Prefix: "/abc", Credentials: "me:secret", Until: noon(), Now: noon})
	s.Begin([]Address{{URL: "http://localhost:8080/abc/", For: machine}}, "AB:CD", nil)
	s.Read(strings.NewReader(request("192.0.2.1:5", "/abc/", 200, 900, "") +
		request("192.0.2.1:5", "/abc/a%20b.iso", 200, 2_000_000, "") +
		request("[2001:db8::1]:6", "/abc/a%20b.iso", 200, 2_000_000, "") +
		request("192.0.2.1:5", "/abc/film%1b.mkv", 206, 1_000_000, "") +
		request("192.0.2.1:7", "/abc/film%1b.mkv", 200, 500_000, reset) +
		request("192.0.2.1:5", "/abc/dir/?archive=zip", 200, 3_000, "") +
		request("192.0.2.1:5", "/abc/?archive=tar.gz&x", 200, 3_000, "") +
		request("192.0.2.1:5", "/abc/dir/?archive=rar", 200, 900, "") +
		request("192.0.2.1:5", "/abc/dir/?noarchive=zip", 200, 900, "") +
		request("192.0.2.1:5", "/abc/", 304, 0, "") +
		request("192.0.2.1:5", "/abc/nope", 404, 300, "") +
		request("192.0.2.9:5", "/abc/", 401, 300, "") +
		request("192.0.2.9:5", "", 400, 300, "") +
		request("192.0.2.1:5", "/abc", 301, 300, "") +
		"no JSON\n" + `{"level":"info","message":"serving"}` + "\n" +
		`{"level":"warn","error":"out of memory","message":"worker exited"}` + "\n"))
	s.End()
	want := `sharing /srv/\x1bfiles
address http://localhost:8080/abc/
user me
password secret
fingerprint AB:CD
until 2026-01-02T12:00:00Z
12:00:00  192.0.2.1        viewed       /
12:00:00  192.0.2.1        downloaded   a b.iso  2.00 MB in 1.50 s
12:00:00  2001:db8::1      downloaded   a b.iso  2.00 MB in 1.50 s
12:00:00  192.0.2.1        downloaded   film\x1b.mkv  1.00 MB in 1.50 s, partial
12:00:00  192.0.2.1        interrupted  film\x1b.mkv  after 500 kB
12:00:00  192.0.2.1        downloaded   dir.zip  3.00 kB in 1.50 s
12:00:00  192.0.2.1        downloaded   \x1bfiles.tar.gz  3.00 kB in 1.50 s
12:00:00  192.0.2.1        viewed       dir/
12:00:00  192.0.2.1        viewed       dir/
12:00:00  192.0.2.1        unchanged    /
12:00:00  192.0.2.1        refused      nope  not found
12:00:00  192.0.2.9        refused      /  without the password
12:00:00  192.0.2.9        refused      -  status 400
12:00:00  ! worker exited: out of memory
Downloaded 4 files, 5.51 MB, by 2 clients:
   4.00 MB  a b.iso (2 times, by 192.0.2.1, 2001:db8::1)
   1.50 MB  film\x1b.mkv (in parts, by 192.0.2.1)
   3.00 kB  \x1bfiles.tar.gz (once, by 192.0.2.1)
   3.00 kB  dir.zip (once, by 192.0.2.1)
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A share that stops on another day says on which.
func TestStopsAt(t *testing.T) {
	for after, want := range map[time.Duration]string{time.Hour: "Stops at 13:00:00; ", 48 * time.Hour: "Stops at 2026-01-04 12:00:00; "} {
		s := New(Config{Until: noon().Add(after), Now: noon})
		if got := s.advice(nil)[0]; !strings.HasPrefix(got, want) {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
}

// A page is no download, even if the client leaves before its end.
func TestNothingDownloaded(t *testing.T) {
	var out writer
	s := New(Config{Out: &out, Now: noon})
	s.Read(strings.NewReader(request("192.0.2.1:5", "/", 200, 900, "") + request("192.0.2.1:6", "/", 200, 500, reset)))
	s.End()
	const visit = "12:00:00  192.0.2.1        viewed       /\n"
	if got := out.String(); got != visit+visit+"Nothing was downloaded.\n" {
		t.Error(got)
	}
}

// screenOf returns what a terminal shows in the end, after the cursor has moved up and lines
// were erased.
func screenOf(text string) []string {
	lines, at := []string{""}, 0
	up := regexp.MustCompile(`^\x1b\[(\d+)A`)
	for text != "" {
		switch m := up.FindStringSubmatch(text); {
		case m != nil:
			n := 0
			fmt.Sscan(m[1], &n)
			at, text = at-n, text[len(m[0]):]
		case strings.HasPrefix(text, "\x1b[J"):
			lines, text = append(lines[:at], ""), text[3:]
		case text[0] == '\n':
			if at, text = at+1, text[1:]; at == len(lines) {
				lines = append(lines, "")
			}
		default:
			if text[0] != '\r' {
				lines[at] += text[:1]
			}
			text = text[1:]
		}
	}
	return lines
}

// On a terminal, downloads are shown below the events, no line is wider than the terminal, and
// a finished download has a row.
func TestTerminalSession(t *testing.T) {
	for _, width := range []int{40, 80, 140} {
		synctest.Test(t, func(t *testing.T) { // no tick of the session's own
			var out writer
			now := noon()
			s := New(Config{Out: &out, Width: func() int { return width }, What: []string{"/srv"}, Now: func() time.Time { return now }})
			s.Begin(nil, "", func() []Transfer { return nil })
			transfer := Transfer{Client: "192.0.2.1:5", Target: "/movie-with-a-very-long-name-" + strings.Repeat("long-", 20) + ".mkv", Size: 1e9}
			s.update([]Transfer{transfer, {Client: "192.0.2.2:5", Target: "/dir/?archive=zip", Sent: 5e6}, {Client: "192.0.2.3:5", Target: "/"}})
			for range 20 {
				now = now.Add(time.Second)
				transfer.Sent += 25e6
				s.update([]Transfer{transfer})
			}
			s.Read(strings.NewReader(request("192.0.2.9:5", "/", 200, 900, "")))
			s.Draining()
			shown := screenOf(out.String())
			tail := shown[len(shown)-4:]
			if !strings.HasPrefix(tail[0], "12:00:20  192.0.2.9        viewed       /") || !strings.HasPrefix(tail[1], "movie-") || !strings.Contains(tail[1], ".mkv") ||
				!strings.Contains(tail[1], "50 %") || !strings.HasPrefix(tail[2], "Stopping when 1 dow") || tail[3] != "" {
				t.Errorf("%d columns: %q", width, tail)
			}
			if width >= 80 && (!strings.Contains(tail[1], "25.0 MB/s") || !strings.Contains(tail[1], "20 s left")) || width == 140 && !strings.Contains(tail[1], "━──") {
				t.Errorf("%d columns: %q", width, tail[1])
			}
			s.Read(strings.NewReader(request(transfer.Client, transfer.Target, 200, 1e9, "")))
			s.End()
			shown = screenOf(out.String())
			for _, line := range shown {
				if ansi.StringWidth(line) >= width && strings.Contains(line, "movie-") && !strings.Contains(line, " GB  movie") {
					t.Errorf("a line of %d columns on %d: %s", ansi.StringWidth(line), width, line)
				}
			}
			if text := strings.Join(shown, "\n"); strings.Contains(text, "Stopping") || strings.Count(text, "downloaded") != 1 || !strings.Contains(text, "Downloaded 1 file, 1.00 GB, by 1 client:") {
				t.Errorf("%d columns:\n%s", width, text)
			}
		})
	}
}

// A download under way has less than 100 percent.
func TestAlmostComplete(t *testing.T) {
	if got := (style{}).progress("a.iso", Transfer{Sent: 999e6, Size: 1e9}, 0, 80); !strings.Contains(got, " 99 %") {
		t.Errorf("%q", got)
	}
}

// A compromised worker, which may report any client, does not control the terminal.
func TestHostileClient(t *testing.T) {
	var out writer
	s := New(Config{Out: &out, Width: func() int { return 140 }, Now: noon})
	s.Read(strings.NewReader(`{"client":"\u001b[2J:5","method":"GET","path":"/a","status":200,"bytes":5,"message":"request"}` + "\n"))
	s.End()
	shown := out.String() + (style{}).progress("a", Transfer{Client: "\x1b[2J:5"}, 0, 140)
	if strings.Contains(shown, "\x1b[2J") || strings.Count(shown, `\x1b[2J`) != 3 {
		t.Errorf("%q", shown)
	}
}

// A client that requests new names without end does not exhaust memory.
func TestLedgerBound(t *testing.T) {
	var l ledger
	for i := range maxFiles + 5 {
		l.add(fmt.Sprint(i), fmt.Sprint(i), 1, true)
	}
	lines := l.summary()
	if len(l.files) != maxFiles || len(l.clients) != maxClients || lines[len(lines)-1] != "  and 9,985 more files" || !strings.HasPrefix(lines[0], "Downloaded 10,005 files, 10.0 kB") {
		t.Errorf("%d files, %d clients: %q, %q", len(l.files), len(l.clients), lines[0], lines[len(lines)-1])
	}
}

func TestAddresses(t *testing.T) {
	addr := netip.MustParseAddr
	all := []Interface{
		{"lo", []netip.Addr{addr("127.0.0.1"), addr("::1")}},
		{"eth0", []netip.Addr{addr("fe80::1"), addr("2001:db8::5"), addr("192.0.2.5")}},
		{"wlan0", []netip.Addr{addr("198.51.100.7")}},
	}
	for bind, want := range map[string]string{
		"":             "http://localhost:81/x/ this machine, http://192.0.2.5:81/x/ eth0, http://198.51.100.7:81/x/ wlan0, http://[2001:db8::5]:81/x/ eth0",
		"::":           "http://localhost:81/x/ this machine, http://[2001:db8::5]:81/x/ eth0",
		"0.0.0.0":      "http://localhost:81/x/ this machine, http://192.0.2.5:81/x/ eth0, http://198.51.100.7:81/x/ wlan0",
		"127.0.0.1":    "http://127.0.0.1:81/x/ this machine",
		"198.51.100.7": "http://198.51.100.7:81/x/ wlan0",
		"2001:db8::5":  "http://[2001:db8::5]:81/x/ eth0",
	} {
		var got []string
		url := func(host string) string { return "http://" + net.JoinHostPort(host, "81") + "/x/" }
		for _, a := range Addresses(url, bind, all) {
			got = append(got, a.URL+" "+a.For)
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%q: %s\nwant %s", bind, text, want)
		}
	}
	if got := Encoded("a b/ü?.iso"); got != "a%20b%2F%C3%BC%3F.iso" {
		t.Error(got)
	}
}

// Generated secrets are different each time, and can be typed.
func TestSecrets(t *testing.T) {
	made := make(map[string]bool)
	for range 100 {
		c, p := NewCredentials(), NewPrefix()
		if !regexp.MustCompile(`^guest:([a-z2-9]{4}-){3}[a-z2-9]{4}$`).MatchString(c) || !regexp.MustCompile(`^/[a-z2-9]{24}$`).MatchString(p) {
			t.Fatal(c, p)
		}
		made[c], made[p] = true, true
	}
	if len(made) != 200 {
		t.Errorf("%d of 200 are different", len(made))
	}
}

// A code is square, with its border, and has the stated width.
func TestCode(t *testing.T) {
	for _, coloured := range []bool{false, true} {
		lines, width, err := code("http://192.0.2.5:8080/", coloured)
		if err != nil || len(lines) != (width+1)/2 {
			t.Fatal(len(lines), width, err)
		}
		for i, line := range lines {
			bare := ansi.Strip(line)
			if ansi.StringWidth(bare) != width || coloured == (bare == line) {
				t.Errorf("line %d: %q", i, line)
			}
			if i < quiet/2 && strings.Trim(bare, map[bool]string{false: "█", true: " "}[coloured]) != "" {
				t.Errorf("no border: %q", line)
			}
		}
	}
	if _, _, err := code(strings.Repeat("x", 5000), true); err == nil {
		t.Error("there is a code for 5,000 bytes")
	}
}
