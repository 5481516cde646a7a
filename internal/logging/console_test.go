package logging

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/rs/zerolog"
)

// open opens a terminal of the given width. Its output is received once it is closed.
func open(t *testing.T, columns uint16) (terminal *os.File, written <-chan string) {
	t.Helper()
	screen, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(screen) // ends with EIO when the other side is closed
		read <- string(b)
	}()
	return terminal, read
}

// onTerminal returns the log as written to a terminal of the given width.
func onTerminal(t *testing.T, columns uint16, o Options, log func(zerolog.Logger)) []string {
	t.Helper()
	terminal, read := open(t, columns)
	o.now = noon
	log(New(terminal, Auto, 3, o).With().Int("slot", 0).Int("pid", 7).Logger())
	terminal.Close()
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(<-read, "\r\n", "\n"), "\n"), "\n")
}

// request logs as a worker does.
func request(log zerolog.Logger, client, method, path string, status int, bytes int64, ms float64) {
	log.Info().Str("client", client).Str("method", method).Str("path", path).Int("status", status).
		Int64("bytes", bytes).Float64("ms", ms).Str("id", "0123456789abcdef").Msg("request")
}

// The rows of requests are aligned in columns, and fit the terminal.
func TestRows(t *testing.T) {
	long := "/" + strings.Repeat("long/", 60) + "the-end"
	all := func(log zerolog.Logger) {
		request(log, "127.0.0.1:80", "GET", "/", 200, 2970, 0.29)
		request(log, "[::1]:80", "GET", "/nope", 404, 572, 81.1)
		request(log, "192.168.100.100:65535", "GET", long, 503, 123456789, 123456)
		request(log, "[2001:db8:1234:5678:9abc:def0:1234:5678]:1", "OPTIONS", long, 204, 0, 0)
		request(log, "10.0.0.1:1", "GET", "/a", 301, 1000, 1000)
	}
	for columns, want := range map[uint16][]string{
		80: {
			"12:00:00 w0   200 GET /                        2.97 kB   290 µs  127.0.0.1",
			"12:00:00 w0  !404 GET /nope                      572 B  81.1 ms  ::1",
			"12:00:00 w0  !503 GET …ng/long/long/the-end   123 MB  2 min 3 s  192.168.100.100",
			"12:00:00 w0   204 OPTIONS …/long/the-end      0 B        –  …9abc:def0:1234:5678",
			"12:00:00 w0   301 GET /a                       1.00 kB   1.00 s  10.0.0.1",
		},
		140: {"12:00:00 w0   200 GET /" + strings.Repeat(" ", 84) + "2.97 kB   290 µs  127.0.0.1"},
	} {
		got := onTerminal(t, columns, Options{NoColor: true}, all)
		if len(got) != 5 {
			t.Fatalf("%d lines: %q", len(got), got)
		}
		for i, line := range got {
			if utf8.RuneCountInString(line) > int(columns) {
				t.Errorf("wider than %d columns: %s", columns, line)
			}
			if i < len(want) && line != want[i] {
				t.Errorf("on %d columns\n%s\nwant\n%s", columns, line, want[i])
			}
		}
	}
}

// A request ID is shown if IDs are enabled, and errors are shown below their request.
func TestRowsBeneath(t *testing.T) {
	wrong := func(log zerolog.Logger) {
		log.Info().Str("client", "a:1").Str("method", "GET").Str("path", "/").Int("status", 200).Str("id", "abc").
			Str("slow", "send").Float64("slow_ms", 2500).Str("reason", "write: broken\x1b[2J pipe").Msg("request")
	}
	for ids, want := range map[bool]string{
		false: "slow: send took 2.50 s|write: broken\\x1b[2J pipe",
		true:  "slow: send took 2.50 s|write: broken\\x1b[2J pipe|id abc",
	} {
		got := onTerminal(t, 80, Options{NoColor: true, IDs: ids}, wrong)
		for i := range got {
			got[i] = strings.TrimSpace(got[i])
		}
		if beneath := strings.Join(got[1:], "|"); beneath != want {
			t.Errorf("%q, want %q", beneath, want)
		}
	}
}

// Other events take as many lines as their fields need. Times have units.
func TestEvents(t *testing.T) {
	got := onTerminal(t, 60, Options{NoColor: true}, func(log zerolog.Logger) {
		log.Info().Str("url", "http://localhost:8080/").Str("base", "/srv/www a").Int64("uptime_ms", 65).Int64("bytes", 1234).Msg("serving")
		log.Warn().Str("why", "").Msg("connection lost")
		log.Warn().Str("cause", "killed by SIGKILL").Int64("uptime_ms", 9000).Str("last_words", "ouch").Msg("worker 0 (pid 7) died: killed by SIGKILL; uptime 9s")
	})
	want := []string{
		"12:00:00 w0   serving  pid=7  url=http://localhost:8080/",
		`              base="/srv/www a"  uptime=65.0 ms`, "              bytes=1.23 kB",
		"12:00:00 w0  !connection lost  pid=7  why=-",
		"12:00:00 w0  !worker 0 (pid 7) died: killed by SIGKILL; uptime 9s",
		"              last_words=ouch",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// Colours add no information to the text, and can be switched off.
func TestRowColours(t *testing.T) {
	statuses := func(log zerolog.Logger) {
		for _, status := range []int{200, 304, 404, 500} {
			request(log, "a:1", "GET", "/", status, 0, 1)
		}
	}
	sequence := regexp.MustCompile("\x1b\\[[0-9]*m")
	plain := onTerminal(t, 80, Options{NoColor: true}, statuses)
	for i, line := range onTerminal(t, 80, Options{}, statuses) {
		color := "\x1b[" + []string{green, cyan, yellow, red}[i] + "m"
		if !strings.Contains(line, color) || sequence.ReplaceAllString(line, "") != plain[i] || strings.Contains(plain[i], "\x1b") {
			t.Errorf("%q\n%q", line, plain[i])
		}
		if marked := strings.Contains(plain[i], "!"); marked != (i > 1) {
			t.Errorf("%q", plain[i])
		}
	}
}

// Any event is written as lines of text, without terminal control characters.
func FuzzConsole(f *testing.F) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { null.Close() })
	f.Add("GET", "/a\x1b[2J\u202e", "127.0.0.1:1", "request", 404, 80)
	f.Add("", "", "", "", 0, 1)
	f.Fuzz(func(t *testing.T, method, path, client, reason string, status, width int) {
		var out strings.Builder
		log := zerolog.New(console{to: &out, width: func() int { return width % 500 }, ids: true})
		log.Info().Str("client", client).Str("method", method).Str("path", path).Int("status", status).Str("reason", reason).Msg("request")
		log.Info().Str("path", path).Msg("other")
		for _, c := range out.String() {
			if c < ' ' && c != '\n' || c == 0x7f || c == '\u202e' {
				t.Fatalf("%q", out.String())
			}
		}
	})
}
