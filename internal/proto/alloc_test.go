package proto

import "testing"

// browser is the request of a browser with a cached copy.
const browser = "GET /assets/app.js?v=3 HTTP/1.1\r\n" +
	"Host: www.example.com:8080\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: en-GB,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Connection: keep-alive\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Priority: u=0, i\r\n"

// Decisions about requests allocate nothing.
func TestDecidingAllocatesNothing(t *testing.T) {
	tests := []struct {
		name, fields string
		status       Status
	}{
		{"200", "", 200},
		{"206", "Range: bytes=0-1,5-,-3\r\nIf-Range: \"a\"\r\n", 206},
		{"206 by date", "Range: bytes=0-1\r\nIf-Range: " + present + "\r\n", 206},
		{"304 by tag", "If-None-Match: \"b\", W/\"a\"\r\n", 304},
		{"304 by tags on two lines", "If-None-Match: \"b\"\r\nIf-None-Match: W/\"a\"\r\n", 304},
		{"304 by date", "If-Modified-Since: " + present + "\r\n", 304},
		{"412", "If-Match: \"b\"\r\n", 412},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head := []byte(browser + tt.fields + "\r\n")
			var got Status
			allocs := testing.AllocsPerRun(100, func() { got = decideAll(head) })
			if got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			if allocs != 0 {
				t.Errorf("%v allocations", allocs)
			}
		})
	}
}

// decideAll does what a server does with a request, except for sending the reply.
func decideAll(head []byte) Status {
	var p Parser
	if p.Parse(head) != Complete {
		return p.Fault().Status
	}
	r := p.Request()
	codings := AcceptCodings(r, head)
	if len(codings.List()) != 3 || Accepts(r, head, "text", "html") != 1000 || !r.KeepAlive() {
		return StatusInternalServerError
	}
	status, _ := Precondition(r, head, example)
	if status == StatusOK && r.Has(FieldRange) && RangeApplies(r, head, example) == RangeTaken {
		var space [4]Range
		if ranges, outcome := ParseRange(space[:0], r.Value(head, FieldRange), 100); outcome == RangeTaken && len(ranges) > 0 {
			status = StatusPartialContent
		}
	}
	var space [512]byte
	out := AppendStatusLine(space[:0], status)
	out = AppendInt(AppendField(out, "Server", "x"), "Content-Length: ", 5)
	out = AppendDate(AppendETag(out, Time{Sec: 1}, 2, "br"), exampleTime)
	if len(out) < 50 {
		return StatusInternalServerError
	}
	return status
}

func BenchmarkParse(b *testing.B) {
	head := []byte(browser + "\r\n")
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		var p Parser
		if p.Parse(head) != Complete {
			b.Fatal(p.Fault())
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	head := []byte(browser + "If-None-Match: \"b\", \"a\"\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if decideAll(head) != StatusNotModified {
			b.Fatal("no 304")
		}
	}
}
