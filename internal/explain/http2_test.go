package explain

import (
	"os"
	"slices"
	"strings"
	"testing"

	"phalanx/internal/conn"
	"phalanx/internal/site"
)

// over returns the case over HTTPS, optionally with HTTP/2.
func (k kase) over(http2 bool) kase {
	before := k.change
	k.change = func(p *site.Policy, c *conn.Config) {
		if before != nil {
			before(p, c)
		}
		c.HTTP2 = http2
	}
	k.secure = true
	return k
}

// Over HTTP/2 each response is the same except for what belongs to the connection.
func TestHTTP2IsTheSame(t *testing.T) {
	dir := plant(t)
	var refused []string
	for _, k := range cases {
		if k.old || k.name == "several ranges" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			want := k.over(false).report(t, dir, fixed)
			got, err := k.over(true).run(t, dir, fixed)
			if err != nil {
				refused = append(refused, k.name)
				if !strings.HasPrefix(err.Error(), "HTTP/2 refuses the request") {
					t.Error(err)
				}
				return
			}
			if got.Request[0] != strings.TrimSuffix(want.Request[0], "1.1")+"2" {
				t.Errorf("the request is %q", got.Request[0])
			}
			if !slices.Contains(got.Steps, Step{"request", "a well-formed header list: " + strings.Fields(want.Request[0])[0] + ", HTTP/2.0"}) && len(got.Steps) > 1 {
				t.Errorf("the steps are %v", got.Steps)
			}
			chunked := false
			wanted := slices.DeleteFunc(want.Lines[1:], func(l Line) bool {
				chunked = chunked || fieldName(l.Text) == "transfer-encoding"
				return fieldName(l.Text) == "transfer-encoding" || fieldName(l.Text) == "connection"
			})
			for i := range wanted {
				name, value, _ := strings.Cut(wanted[i].Text, ":")
				wanted[i].Text = strings.ToLower(name) + ":" + value
			}
			if got.Status != want.Status || !slices.Equal(got.Lines[1:], wanted) || got.Bytes != want.Bytes && !chunked {
				t.Errorf("over HTTP/2 %d, %d bytes:\n%v\nover HTTP/1.1 %d, %d bytes:\n%v", got.Status, got.Bytes, got.Lines, want.Status, want.Bytes, wanted)
			}
			if !chunked && !slices.Equal(got.Body, want.Body) {
				t.Errorf("the body is %q, want %q", got.Body, want.Body)
			}
		})
	}
	if !slices.Equal(refused, []string{"the client closes", "a chunked body", "a field name with a space"}) {
		t.Errorf("HTTP/2 refuses %q", refused)
	}
}

// A report names the version, and shows a head as curl does.
func TestHTTP2IsNamed(t *testing.T) {
	k := kase{url: "/app.js", fields: []string{"Accept-Encoding: br"}}.over(true)
	text := k.report(t, plant(t), fixed).String()
	for _, part := range []string{
		"\n  GET /app.js HTTP/2\n  host: localhost\n  accept-encoding: br\n", "\n  HTTP/2 200\n", "\n  content-encoding: br\n",
		"a well-formed header list: GET, HTTP/2.0\n", "\n  2 bytes of \"app.js.br\" from offset 0\n", "It stays open for the next request",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing from\n%s", part, text)
		}
	}
}

// A response may be larger than the windows.
func TestHTTP2OpensWindows(t *testing.T) {
	dir := plant(t)
	const size = 5 << 30
	if err := os.Truncate(dir+"/zero.txt", size); err != nil {
		t.Fatal(err)
	}
	if r := (kase{url: "/zero.txt"}).over(true).report(t, dir, fixed); r.Bytes != size || len(r.Body) != 1 {
		t.Errorf("%d bytes, %q", r.Bytes, r.Body)
	}
}
