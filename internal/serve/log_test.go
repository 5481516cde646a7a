package serve

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/internal/conn"
	"phalanx/internal/logging"
)

// newJournal is that of one connection, at -vv.
func newJournal(file *os.File, format string) *journal {
	cfg := &Config{Log: logging.New(file, format, 2, logging.NoColor(true))}
	j := &journal{cfg, &clock{cfg: &cfg.Conn}, "192.0.2.1:1"}
	j.clock.start()
	return j
}

// logged returns what a journal writes in a format, with the bytes of a client.
func logged(t *testing.T, format string, write func(*journal)) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write(newJournal(file, format))
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const rawHead = "GET /\"a\\b\" HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\xff\u202eü\r\n\r\n"

// What a client sent is escaped once, by the encoding of the line.
func TestLogEscapesOnce(t *testing.T) {
	head := func(j *journal) { j.Head([]byte(rawHead)) }
	request := func(j *journal) {
		j.Done(conn.Record{Method: []byte("G\"T\n"), Target: []byte("/a\\b \"\r\xff"), Status: 400})
	}
	for _, tt := range []struct {
		format string
		write  func(*journal)
		want   string
	}{
		{logging.JSON, head, `"head":"GET /\"a\\b\" HTTP/1.1\r\nHost: a\r\nX: \u001b[2J\u00ff\u202e\u00fc\r\n\r\n"`},
		{logging.Console, head, `head="GET /\"a\\b\" HTTP/1.1\r\nHost: a\r\nX: \x1b[2Jÿ\u202eü\r\n\r\n"`},
		{logging.JSON, request, `"method":"G\"T\n","path":"/a\\b \"\r\u00ff"`},
		{logging.Console, request, `method="G\"T\n" path="/a\\b \"\rÿ"`},
	} {
		if got := logged(t, tt.format, tt.write); !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("the line has no\n %s:\n %s", tt.want, got)
		}
	}
	var event struct{ Head string }
	if err := json.Unmarshal([]byte(logged(t, logging.JSON, head)), &event); err != nil ||
		event.Head != strings.Replace(rawHead, "\xff", "\u00ff", 1) {
		t.Errorf("a reader of the line gets %q, %v", event.Head, err)
	}
}

// However a head is filled, its line is one that can be written whole.
func TestLongHeadsAreClipped(t *testing.T) {
	for _, format := range []string{logging.JSON, logging.Console} {
		for _, fill := range []string{"x", "\"", "\\", "\n", "\x01", "\xff", "\u202e", "ü", "\U0001f6e1"} {
			t.Run(fmt.Sprintf("%s %q", format, fill), func(t *testing.T) {
				long := []byte(strings.Repeat(fill, 16<<10/len(fill)))
				got := logged(t, format, func(j *journal) { j.Head(long) })
				if len(got) > 4095 || !strings.Contains(got, "head") || strings.Contains(got, "too long") ||
					!strings.Contains(got, "…\"") || strings.Count(got, "\n") != 1 {
					t.Errorf("%d bytes: %.80s", len(got), got)
				}
			})
		}
	}
}

// A line allocates nothing.
func TestLogAllocations(t *testing.T) {
	file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	j := newJournal(file, logging.JSON)
	record := conn.Record{Method: []byte("GET"), Target: []byte("/a%20path?\"x\""), Status: 200}
	for what, write := range map[string]func(){
		"request": func() { j.Done(record) },
		"head":    func() { j.Head([]byte(rawHead)) },
	} {
		if n := testing.AllocsPerRun(100, write); n != 0 {
			t.Errorf("%v allocations for a %s", n, what)
		}
	}
}
