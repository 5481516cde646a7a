package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"phalanx/e2e/harness"
)

// logged is an access log line. Fields that its format lacks are empty.
type logged struct {
	client, method, target, protocol string
	status, bytes                    int
	referer, agent                   string
}

// quotedText matches the text between two quotes, with escapes.
const quotedText = `((?:[^"\\]|\\.)*)`

var (
	commonLine   = regexp.MustCompile(`^(\S+) - - \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "` + quotedText + `" (\d{3}) (\d+|-)$`)
	combinedLine = regexp.MustCompile(strings.TrimSuffix(commonLine.String(), "$") + ` "` + quotedText + `" "` + quotedText + `"$`)
)

// readLogged parses an access log line strictly.
func readLogged(format, line string) (v logged, at time.Time, err error) {
	if format == "json" {
		return readJSONLogged(line)
	}
	pattern := commonLine
	if format == "combined" {
		pattern = combinedLine
	}
	m := pattern.FindStringSubmatch(line)
	if m == nil {
		return v, at, fmt.Errorf("not a line in format %s: %.300q", format, line)
	}
	if at, err = time.Parse("02/Jan/2006:15:04:05 -0700", m[2]); err != nil {
		return v, at, err
	}
	v = logged{client: m[1], status: harness.Atoi(m[4]), bytes: max(0, harness.Atoi(m[5]))}
	if m[3] != "-" {
		words := strings.Split(unquote(m[3]), " ")
		if len(words) != 3 {
			return v, at, fmt.Errorf("not a request line: %.300q", m[3])
		}
		v.method, v.target, v.protocol = words[0], words[1], words[2]
	}
	if format == "combined" {
		v.referer, v.agent = unquote(m[6]), unquote(m[7])
	}
	return v, at, nil
}

// unquote undoes Apache's escapes, which are those of Go. "-" means empty.
func unquote(text string) string {
	if text == "-" {
		return ""
	}
	plain, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		return "invalid escape in " + text
	}
	return plain
}

func readJSONLogged(line string) (v logged, at time.Time, err error) {
	var e struct {
		Time                                      time.Time
		Client, Method, Target, Protocol, Referer string
		Status, Bytes                             int
		Agent                                     string `json:"user_agent"`
		Seconds                                   *float64
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seconds == nil || *e.Seconds < 0 || *e.Seconds > 60 {
		return v, at, fmt.Errorf("not a line in format json: %w: %.300q", err, line)
	}
	return logged{e.Client, e.Method, e.Target, e.Protocol, e.Status, e.Bytes, e.Referer, e.Agent}, e.Time, nil
}

// inJSON returns a text as it is after encoding to JSON: a byte that is not valid UTF-8 becomes the code
// point of its value.
func inJSON(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && n == 1 {
			r = rune(text[0])
		}
		b.WriteRune(r)
		text = text[n:]
	}
	return b.String()
}

// linesOf returns the lines of a file, which must not end with an incomplete one.
func linesOf(t *testing.T, path string) []string {
	t.Helper()
	text := harness.Read(t, path)
	if len(text) == 0 {
		return nil
	}
	if text[len(text)-1] != '\n' {
		t.Errorf("%s ends with an incomplete line: %.100q", path, text[max(0, len(text)-100):])
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// awaitLines waits until a file has at least n lines, and returns them.
func awaitLines(t *testing.T, path string, n int) []string {
	t.Helper()
	found := 0
	if !harness.Holds(10*time.Second, func() bool { found = countLines(path); return found >= n }) {
		t.Fatalf("%s has %d lines, want at least %d", path, found, n)
	}
	return linesOf(t, path)
}

// countLines returns the number of complete lines in a file that may be written meanwhile.
func countLines(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte("\n"))
}
