package explain

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"phalanx/internal/conn"
	"phalanx/internal/site"
)

var update = flag.Bool("update", false, "rewrite testdata/reports.txt")

// The reports equal the recorded ones, which were reviewed. Of a reply only those lines are
// kept that no earlier report has with the same rule.
func TestReports(t *testing.T) {
	const golden = "testdata/reports.txt"
	dir := plant(t)
	var all strings.Builder
	seen := make(map[string]bool)
	for _, k := range cases {
		report := k.report(t, dir, fixed)
		report.Lines = slices.DeleteFunc(report.Lines, func(l Line) bool {
			key := fieldName(l.Text) + l.Why
			was := seen[key]
			seen[key] = true
			return was
		})
		all.WriteString("=== " + k.name + "\n\n" + report.String() + "\n")
	}
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(all.String(), "=== ")
	for i, report := range strings.Split(string(want), "=== ") {
		if i >= len(got) || got[i] != report {
			t.Fatalf("got\n%s\nwant\n%s", got[min(i, len(got)-1)], report)
		}
	}
	if string(want) != all.String() {
		t.Error("there are more reports than expected")
	}
}

// Each line of each reply has the rule that set it, and no line is too wide.
func TestNothingIsUnknown(t *testing.T) {
	dir := plant(t)
	for _, k := range cases {
		r := k.report(t, dir, fixed)
		if len(r.Lines) < 4 || len(r.Steps) == 0 || len(r.Body) == 0 {
			t.Errorf("%s: %+v", k.name, r)
		}
		for _, line := range r.Lines {
			if line.Why == "" || line.Why == Unknown {
				t.Errorf("%s: no rule explains %q", k.name, line.Text)
			}
		}
		for line := range strings.Lines(r.String()) {
			if utf8.RuneCountInString(line) > width+1 {
				t.Errorf("%s: too wide: %q", k.name, line)
			}
		}
	}
}

// Each line of an error whose page needs credentials has its rule, too, though the path needs none.
func TestPageThatNeedsCredentials(t *testing.T) {
	k := kase{name: "a page that needs credentials", url: "/nope.txt", change: func(p *site.Policy, c *conn.Config) {
		locked(p, c)
		p.Areas = []site.Area{{Pattern: "404.html"}}
	}}
	r := k.report(t, plant(t), fixed)
	varies := false
	for _, line := range r.Lines {
		varies = varies || line.Text == "Vary: Authorization"
		if line.Why == "" || line.Why == Unknown {
			t.Errorf("no rule explains %q", line.Text)
		}
	}
	if r.Status != 404 || !varies {
		t.Errorf("want 404 with Vary: Authorization:\n%s", r.String())
	}
}

// An archive is explained by its head, because making it could take an hour.
func TestArchiveIsNotMade(t *testing.T) {
	k := kase{name: "an archive", url: "/docs/?archive=tar.gz", change: archive}
	dir := plant(t)
	r := k.report(t, dir, fixed)
	text := r.String()
	if r.Status != 200 || r.Bytes != 0 || !strings.Contains(text, "an archive of the directory, made while it is sent") || !strings.Contains(text, "It stays open") {
		t.Error(text)
	}
	if k.old = true; !strings.Contains(k.report(t, dir, fixed).String(), "It ends with this response.") {
		t.Error("the connection stays open for HTTP/1.0")
	}
}

// The report says so if an entity tag is made from the content.
func TestContentTagIsExplained(t *testing.T) {
	dir := plant(t)
	later := time.Now().Add(time.Minute) // than the files were changed
	for _, c := range []struct {
		all  bool
		url  string
		at   time.Time
		want []string
	}{
		{true, "/a b.txt", later, []string{"made from the content (--etag), whose SHA-256 digest is 84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882", "128 bits of the SHA-256", "the SHA-256 digest of the whole file as it is sent"}},
		{true, "/a b.txt", fixed, []string{"no ETag yet: it is made from the content"}},
		{false, "/built.txt", later, []string{"made from the content (--etag), whose", "no Last-Modified: build tools"}},
		{false, "/a b.txt", later, []string{"the file's modification time in ns"}},
	} {
		cfg, root := open(t, dir, nil)
		root.Digests = site.NewDigests(-1, c.all, nil)
		report := reportOf(t, cfg, []*site.Root{root}, asking(t, "GET", c.url, "Want-Repr-Digest: sha-256=1"), c.at)
		text := strings.Join(strings.Fields(report.String()), " ")
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", c.url, want, report)
			}
		}
	}
}
