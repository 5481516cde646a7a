package accesslog

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// moment is 10/Oct/2000:13:55:36.007 UTC.
const moment = 971186136_007

func entry() Entry {
	return Entry{
		Client: []byte("192.0.2.1"), Time: moment, Method: []byte("GET"), Target: []byte("/a?b=c"), Version: "HTTP/1.1",
		Status: 200, Bytes: 2326, Took: 1234567 * time.Nanosecond,
		Referer: []byte("http://example.com/"), Agent: []byte("Mozilla/5.0 (X11)"), ID: []byte("7f3a"),
	}
}

func TestFormats(t *testing.T) {
	tests := []struct {
		name   string
		format Format
		change func(e *Entry)
		want   string
	}{
		{"common", Common, func(*Entry) {},
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326`},
		{"combined", Combined, func(*Entry) {},
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "http://example.com/" "Mozilla/5.0 (X11)"`},
		{"json", JSON, func(*Entry) {},
			`{"time":"2000-10-10T13:55:36.007Z","client":"192.0.2.1","method":"GET","target":"/a?b=c","protocol":"HTTP/1.1",` +
				`"status":200,"bytes":2326,"seconds":0.001234,"referer":"http://example.com/","user_agent":"Mozilla/5.0 (X11)","request_id":"7f3a"}`},
		{"a site", VhostCombined, func(e *Entry) { e.Site, e.Port = "www.example.org", 8443 },
			`www.example.org:8443 192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "http://example.com/" "Mozilla/5.0 (X11)"`},
		{"the one site", VhostCombined, func(e *Entry) { *e = Entry{Status: 400} },
			`*:0 - - - [01/Jan/1970:00:00:00 +0000] "-" 400 - "-" "-"`},
		{"a site in combined", Combined, func(e *Entry) { e.Site, e.Port = "www.example.org", 8443 },
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "http://example.com/" "Mozilla/5.0 (X11)"`},
		{"a site in json", JSON, func(e *Entry) { *e = Entry{Status: 200, Site: "www.example.org", Port: 1} },
			`{"time":"1970-01-01T00:00:00.000Z","client":null,"method":null,"target":null,"protocol":null,"status":200,"bytes":0,"seconds":0.000000,"referer":null,"user_agent":null,"request_id":null,"site":"www.example.org"}`},
		{"unknown format", "", func(*Entry) {},
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "http://example.com/" "Mozilla/5.0 (X11)"`},
		{"nothing known", Combined, func(e *Entry) { *e = Entry{Status: 400} },
			`- - - [01/Jan/1970:00:00:00 +0000] "-" 400 - "-" "-"`},
		{"secure, in json", JSON, func(e *Entry) { *e = Entry{Status: 200, TLS: &TLS{"TLS 1.3", "TLS_AES_128_GCM_SHA256", "a\"b", true}} },
			`{"time":"1970-01-01T00:00:00.000Z","client":null,"method":null,"target":null,"protocol":null,"status":200,"bytes":0,"seconds":0.000000,"referer":null,"user_agent":null,"request_id":null,"tls_version":"TLS 1.3","tls_cipher":"TLS_AES_128_GCM_SHA256","tls_sni":"a\"b","tls_resumed":true}`},
		{"nothing known in json", JSON, func(e *Entry) { *e = Entry{Status: 400} },
			`{"time":"1970-01-01T00:00:00.000Z","client":null,"method":null,"target":null,"protocol":null,` +
				`"status":400,"bytes":0,"seconds":0.000000,"referer":null,"user_agent":null,"request_id":null}`},
		{"a user", Common, func(e *Entry) { e.User = []byte("J\u00fcrgen \"x\" [\n") },
			`192.0.2.1 - J\xc3\xbcrgen\x20\x22x\x22\x20[\x0a [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326`},
		{"no body", Common, func(e *Entry) { e.Bytes, e.Status = 0, 304 },
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 304 -`},
		{"HTTP/1.0 over IPv6", Common, func(e *Entry) { e.Client, e.Version = []byte("2001:db8::1"), "HTTP/1.0" },
			`2001:db8::1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.0" 200 2326`},
		{"a scope with a space and a quote", Common, func(e *Entry) { e.Client = []byte(`fe80::1%a b"`) },
			`fe80::1%a\x20b\x22 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326`},
		{"a forged line", Combined, func(e *Entry) { e.Agent = []byte("x\"\r\n10.0.0.1 - - \\") },
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "http://example.com/" "x\"\r\n10.0.0.1 - - \\"`},
		{"a terminal's sequence, UTF-8, DEL and NUL", Combined, func(e *Entry) { e.Referer = []byte("\x1b[2J é\x7f\x00\b\t\v\f\x9b") },
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "\x1b[2J \xc3\xa9\x7f\x00\b\t\v\x0c\x9b" "Mozilla/5.0 (X11)"`},
		{"a method with a quote", Common, func(e *Entry) { e.Method, e.Target = []byte(`G"T`), []byte("/\xff") },
			`192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "G\"T /\xff HTTP/1.1" 200 2326`},
		{"times beyond the calendar", JSON, func(e *Entry) { *e = Entry{Time: 1 << 62, Took: -1, Bytes: -1, Status: 200} },
			`{"time":"9999-12-31T23:59:59.999Z","client":null,"method":null,"target":null,"protocol":null,` +
				`"status":200,"bytes":0,"seconds":0.000000,"referer":null,"user_agent":null,"request_id":null}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := entry()
			tt.change(&e)
			if got := string((&Formatter{Format: tt.format}).Append([]byte("before "), &e)); got != "before "+tt.want+"\n" {
				t.Errorf("got  %swant %s", got, tt.want)
			}
		})
	}
}

// The user is the last field of a JSON object, if there is a user.
func TestUserInJSON(t *testing.T) {
	for user, want := range map[string]string{"": "null}\n", "ann \"x\"": "null,\"user\":\"ann \\\"x\\\"\"}\n"} {
		if got := string((&Formatter{Format: JSON}).Append(nil, &Entry{User: []byte(user)})); !strings.HasSuffix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestJSONStrings(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain ~", `"plain ~"`},
		{`"\`, `"\"\\"`},
		{"\n\r\t", `"\n\r\t"`},
		{"\x00\x1f\x7f", `"\u0000\u001f\u007f"`},
		{"é", `"\u00e9"`},
		{"\u009b\u2028\u202e", `"\u009b\u2028\u202e"`},
		{"😀!", `"\ud83d\ude00!"`},
		{"\ufffd", `"\ufffd"`},
		{"\xff\xc3", `"\u00ff\u00c3"`},
		{"\xed\xa0\x80", `"\u00ed\u00a0\u0080"`}, // a surrogate is no character
		{"\xf0\x9f\x98", `"\u00f0\u009f\u0098"`},
		{"", `null`},
	}
	for _, tt := range tests {
		if got := string(appendMember(nil, "a", tt.in)); got != `,"a":`+tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}

// The formatter reuses the text of a second only for the same second.
func TestFormatterKeepsSecond(t *testing.T) {
	e := entry()
	for _, format := range []Format{Common, JSON} {
		f := Formatter{Format: format}
		for _, ms := range []int64{0, 999, 1000, 0, moment, moment + 992, moment + 993, moment, 1 << 62, 0} {
			e.Time = ms
			if got, want := string(f.Append(nil, &e)), string((&Formatter{Format: format}).Append(nil, &e)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

func TestFormattingAllocatesNothing(t *testing.T) {
	e := entry()
	e.Agent = []byte("\"é\xff")
	buf := make([]byte, 0, 4096)
	for _, format := range []Format{Common, Combined, VhostCombined, JSON} {
		f := Formatter{Format: format}
		n := testing.AllocsPerRun(1000, func() {
			e.Time += 100
			f.Append(buf, &e)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", format, n)
		}
	}
}

func addSeeds(f *testing.F) {
	f.Add("192.0.2.1", int64(moment), "GET", "/", uint8(1), 200, int64(12), int64(1e6), "-", "curl/8", "id")
	f.Add("", int64(-1), "", "", uint8(0), 400, int64(0), int64(-1), "", "", "")
	f.Add("::1%\n", int64(1<<62), "G\" ", "/\" 200 1\n", uint8(255), -1, int64(-5), int64(1<<62), "\\", "\\\"", "\xff\xed\xa0\x80")
}

// checkLine checks that line is one line of printable ASCII.
func checkLine(t *testing.T, line []byte) {
	t.Helper()
	if i := bytes.IndexByte(line, '\n'); i != len(line)-1 {
		t.Fatalf("not one line: %q", line)
	}
	for _, c := range line[:len(line)-1] {
		if c < 0x20 || c > 0x7e {
			t.Fatalf("byte %#x in %q", c, line)
		}
	}
}

func FuzzJSON(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, client string, ms int64, method, target string, minor uint8, status int, size, took int64, referer, agent, id string) {
		e := Entry{[]byte(client), ms, []byte(method), []byte(target), version(minor), status, size, time.Duration(took), []byte(referer), []byte(agent), []byte(id), nil, "", 0, []byte(agent)}
		line := (&Formatter{Format: JSON}).Append(nil, &e)
		checkLine(t, line)
		var got struct {
			Time      time.Time
			Client    *string
			Method    *string
			Target    *string
			Protocol  *string
			Status    int
			Bytes     int64
			Seconds   float64
			Referer   *string
			UserAgent *string `json:"user_agent"`
			RequestID *string `json:"request_id"`
			User      string  // "" if it is left out
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if got.Status != status || got.Bytes != max(size, 0) || got.Time.UnixMilli() != min(max(ms, 0), maxTime) {
			t.Errorf("%+v from %s", got, line)
		}
		if want := float64(max(took, 0)/1000) / 1e6; got.Seconds < want*0.999999 || got.Seconds > want*1.000001 {
			t.Errorf("%v seconds, want %v", got.Seconds, want)
		}
		for want, got := range map[string]*string{
			client: got.Client, method: got.Method, target: got.Target,
			referer: got.Referer, agent: got.UserAgent, id: got.RequestID,
		} {
			if (got == nil) != (want == "") || got != nil && *got != visible(want) {
				t.Errorf("%q is decoded as %v", want, got)
			}
		}
	})
}

// visible returns s with each byte that is not part of valid UTF-8 replaced by the
// character of that number.
func visible(s string) string {
	var b strings.Builder
	for i, r := range s {
		if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
			r = rune(s[i])
		}
		b.WriteRune(r)
	}
	return b.String()
}

// combinedLine matches a line of the combined format, as its description says.
var combinedLine = regexp.MustCompile(`^(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] ` +
	`"((?:[^"\\]|\\.)*)" (-?\d+) (-|\d+) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\n$`)

var escapes = regexp.MustCompile(`\\(x[0-9a-f]{2}|.)`)

func unescape(s string) string {
	return escapes.ReplaceAllStringFunc(s, func(e string) string {
		switch {
		case len(e) == 4:
			c, _ := strconv.ParseUint(e[2:], 16, 8)
			return string([]byte{byte(c)})
		case strings.Contains("bnrtv", e[1:]):
			return map[string]string{"b": "\b", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}[e[1:]]
		}
		return e[1:]
	})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func FuzzCombined(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, client string, ms int64, method, target string, minor uint8, status int, size, took int64, referer, agent, id string) {
		e := Entry{[]byte(client), ms, []byte(method), []byte(target), version(minor), status, size, time.Duration(took), []byte(referer), []byte(agent), []byte(id), nil, "", 0, []byte(agent)}
		line := (&Formatter{Format: Combined}).Append(nil, &e)
		checkLine(t, line)
		m := combinedLine.FindSubmatch(line)
		if m == nil {
			t.Fatalf("%s is not a line of the combined format", line)
		}
		request, bytes := "-", "-"
		if method != "" {
			request = method + " " + target + " HTTP/1." + strconv.Itoa(int(minor))
		}
		if size > 0 {
			bytes = strconv.FormatInt(size, 10)
		}
		when := time.UnixMilli(min(max(ms, 0), maxTime)).UTC().Format("02/Jan/2006:15:04:05 -0700")
		for i, want := range []string{orDash(client), orDash(agent), when, request, strconv.Itoa(status), bytes, orDash(referer), orDash(agent)} {
			if got := unescape(string(m[i+1])); got != want {
				t.Errorf("field %d is %q, want %q", i, got, want)
			}
		}
	})
}

func BenchmarkFormat(b *testing.B) {
	for _, format := range []Format{Combined, JSON} {
		b.Run(string(format), func(b *testing.B) {
			e := entry()
			f := Formatter{Format: format}
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				f.Append(buf, &e)
			}
		})
	}
}

// version returns a version of HTTP/1 as entries have it.
func version(minor uint8) string { return "HTTP/1." + strconv.Itoa(int(minor)) }
