package logging

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// records returns a file in which each write(2) is one record, and a function that reads the
// next record.
func records(t *testing.T) (*os.File, func() string) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w, r := os.NewFile(uintptr(fds[0]), "w"), os.NewFile(uintptr(fds[1]), "r")
	t.Cleanup(func() { w.Close(); r.Close() })
	return w, func() string {
		buf := make([]byte, 1<<16)
		n, _, err := unix.Recvfrom(fds[1], buf, unix.MSG_DONTWAIT)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
}

func noon() time.Time {
	return time.Date(2024, 2, 29, 12, 0, 0, 5e6, time.FixedZone("", 3600))
}

func TestLevels(t *testing.T) {
	for verbose, want := range []string{"", "info", "info debug", "info debug trace", "info debug trace"} {
		w, read := records(t)
		log := New(w, JSON, verbose, Options{})
		log.Info().Msg("")
		log.Debug().Msg("")
		log.Trace().Msg("")
		var got []string
		for line := read(); line != ""; line = read() {
			var event struct{ Level string }
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatal(err)
			}
			got = append(got, event.Level)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("verbose %d logs %q, want %q", verbose, got, want)
		}
	}
}

func TestSilent(t *testing.T) {
	w, read := records(t)
	log := New(w, Auto, 0, Options{})
	log.Error().Msg("x")
	log.WithLevel(zerolog.NoLevel).Msg("x")
	if got := read(); got != "" {
		t.Errorf("silent mode wrote %q", got)
	}
}

func TestFormats(t *testing.T) {
	const jsonLine = `{"level":"info","slot":1,"time":"2024-02-29T12:00:00.005+01:00","message":"hello"}` + "\n"
	const consoleLine = "12:00:00 w1   hello\n"
	for format, want := range map[string]string{JSON: jsonLine, Auto: jsonLine, Console: consoleLine} {
		w, read := records(t)
		log := New(w, format, 1, Options{NoColor: true, now: noon})
		log.Info().Int("slot", 1).Msg("hello")
		got := read()
		if got != want || read() != "" {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}

func TestColour(t *testing.T) {
	for _, off := range []bool{false, true} {
		w, read := records(t)
		log := New(w, Console, 1, Options{NoColor: off})
		log.Info().Msg("hello")
		if got := strings.Contains(read(), "\x1b["); got == off {
			t.Errorf("NoColor %v: coloured %v", off, got)
		}
	}
}

func TestAutoOnTerminal(t *testing.T) {
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer terminal.Close()
	log := New(terminal, Auto, 1, Options{NoColor: true, now: noon})
	log.Info().Msg("hello")
	// The terminal may pass on the line before its end.
	if got, err := bufio.NewReader(master).ReadString('\n'); err != nil || got != "12:00:00      hello\r\n" {
		t.Errorf("on a terminal: %q, %v", got, err)
	}
}

// A line is one write of less than PIPE_BUF bytes, whatever is logged.
func TestGuard(t *testing.T) {
	long := strings.Repeat("\"\x01ü", 5000)
	w, read := records(t)
	log := New(w, JSON, 1, Options{})
	log.Info().Str("path", long).Msg("request")
	line := read()
	var event map[string]any
	if err := json.Unmarshal([]byte(line), &event); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	if len(line) > maxLine || event["message"] != "log line too long" || read() != "" {
		t.Errorf("%d bytes: %q", len(line), line)
	}
	log = New(w, Console, 1, Options{})
	log.Info().Str("path", long).Msg("request")
	if line = read(); len(line) > maxLine || !strings.HasSuffix(line, " bytes more)\x1b[0m\n") || read() != "" {
		t.Errorf("%d bytes, ends in %q", len(line), line[max(0, len(line)-20):])
	}
}

func TestFits(t *testing.T) {
	w, read := records(t)
	log := New(w, JSON, 1, Options{})
	log.Info().Str("path", strings.Repeat("x", 2048)).Msg("request")
	if line := read(); !strings.Contains(line, `"message":"request"`) {
		t.Errorf("a long field is replaced: %.100q", line)
	}
}

func TestDeadReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	zerolog.ErrorHandler = func(err error) { t.Errorf("zerolog gets the error %v", err) }
	t.Cleanup(func() { zerolog.ErrorHandler = nil })
	log := New(w, JSON, 1, Options{})
	log.Info().Msg("nobody reads this")
}

func TestAllocations(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	log := New(null, JSON, 1, Options{})
	path := []byte("/index.html")
	log.Info().Msg("warm")
	if n := testing.AllocsPerRun(100, func() {
		log.Info().Int("slot", 1).Bytes("path", path).Dur("took", time.Millisecond).Msg("request")
	}); n != 0 {
		t.Errorf("%v allocations for an event", n)
	}
}

func TestAppendJSON(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 3, `""`},
		{"/plain path~", 12, `"/plain path~"`},
		{"/a\r\n\t{\"level\":\"info\"}", 99, `"/a\r\n\t{\"level\":\"info\"}"`},
		{"\x00\x1f\x7f", 99, `"\u0000\u001f\u007f"`},
		{"\x80\xff", 99, `"\u0080\u00ff"`},
		{`\x0a`, 99, `"\\x0a"`},
		{"ü\u2028\u202e\U0001f6e1", 99, `"\u00fc\u2028\u202e\ud83d\udee1"`},
		{"\ufffd", 99, `"\ufffd"`},
		{"longer", 5, `"lo…"`},
		{"a\"\"\"", 7, `"a\"\"\""`},
		{"a\"\"\"", 6, `"a\"…"`},
		{"\U0001f6e1", 11, `"…"`},
		{"long", 3, `"…"`},
	} {
		if got := string(AppendJSON([]byte("x:"), []byte(tt.in), tt.n)); got != "x:"+tt.want {
			t.Errorf("AppendJSON(%q, %d) = %s, want x:%s", tt.in, tt.n, got, tt.want)
		}
	}
}

// For any bytes the string is valid JSON within its limit, and if it is not clipped it decodes
// to the bytes.
func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: \xff\u00fc\U0001f6e1\r\n\r\n"), 40)
	f.Add([]byte("\xf0\x9f\x9b\"\\"), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = max(3, n)
		got := AppendJSON(nil, b, n)
		if len(got)-2 > n {
			t.Fatalf("%d bytes, want %d at most: %s", len(got)-2, n, got)
		}
		var s string
		if err := json.Unmarshal(got, &s); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if utf8.Valid(b) && !strings.HasSuffix(s, "…") && s != string(b) {
			t.Errorf("%q became %q", b, s)
		}
	})
}
