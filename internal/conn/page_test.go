package conn

import (
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// An error page says what is wrong, once for the tab and once for the reader, and
// what can be done where there is something.
func TestErrorPage(t *testing.T) {
	for s := proto.Status(300); s < 600; s++ {
		if s.Reason() == "" {
			continue
		}
		page := string(appendPage(nil, s, advice(s)))
		title := string(appendTitle(nil, s))
		_, main, _ := strings.Cut(page, "</style>\n")
		want := "<main><h1>" + title + "</h1>"
		if text := advice(s); text != "" {
			want += "<p>" + text + "</p>"
		}
		if main != want+"</main>\n" || !strings.Contains(page, "<title>"+title+"</title>") || len(page) > 800 {
			t.Errorf("%d: %d bytes\n%s", s, len(page), page)
		}
	}
	if got := string(appendPage(nil, 404, advice(404))); !strings.HasSuffix(got, "<h1>404 Not Found</h1><p>There is nothing at this address. Check its spelling.</p></main>\n") {
		t.Error(got)
	}
}

// Whoever sets an own policy is not given a second one, which would count too.
func TestOwnPolicy(t *testing.T) {
	for _, own := range []string{"", "content-security-policy: default-src 'self'"} {
		cfg := newConfig()
		if own != "" {
			cfg.Header = []string{own}
		}
		d := newDriver(t, cfg, nil)
		d.receive(get("/nope"))
		reply := strings.ToLower(string(d.reply))
		if n := strings.Count(reply, "content-security-policy: "); n != 1 || !strings.Contains(reply, strings.ToLower(own)) {
			t.Errorf("with %q: %d policies\n%s", own, n, reply)
		}
	}
}
