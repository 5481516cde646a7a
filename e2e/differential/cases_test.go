package differential

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"phalanx/e2e/harness"
)

// request is a request that every server gets. In its fields, {tag} and {coded} stand for the server's
// own entity tags of the file and of its compressed form.
type request struct {
	family  string
	method  string
	target  string
	version string
	host    string // the value of Host; "-" for none
	file    string // the requested file, if it exists
	size    int
	odd     string // the unusual part of the message, if there is one
	fields  []string
	body    string
}

// text returns the request for a server with these entity tags of the file.
func (q *request) text(tag, coded string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\n", q.method, q.target, q.version)
	if q.host != "-" {
		fmt.Fprintf(&b, "Host: %s\r\n", q.host)
	}
	for _, field := range q.fields {
		b.WriteString(field + "\r\n")
	}
	b.WriteString("\r\n" + q.body)
	return strings.NewReplacer("{tag}", tag, "{coded}", coded).Replace(b.String())
}

// value returns the value of the first field with a name.
func (q *request) value(name string) string {
	for _, field := range q.fields {
		if own, value, _ := strings.Cut(field, ":"); strings.EqualFold(own, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// has reports whether the request has a field, even an empty one.
func (q *request) has(name string) bool {
	for _, field := range q.fields {
		if own, _, _ := strings.Cut(field, ":"); strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

// peerFiles returns the files of the comparison.
func peerFiles() map[string]string {
	files := map[string]string{
		"index.html": "<!DOCTYPE html><title>front</title>", "page.html": strings.Repeat("<p>page</p>\n", 200),
		"empty.txt": "", "one.txt": "1", "a b.txt": "space", "gr\u00fc\u00dfe.txt": "umlaut", "100%.txt": "percent",
		"plus+plus.txt": "plus", "dir/index.html": "directory", "dir/file.css": "p{}", "bare/file.txt": "no index",
		"noextension": "\x00\x01plain", ".hidden": "hidden", ".well-known/probe.txt": "public", "pic.png": "\x89PNG\r\n",
		"app.js": strings.Repeat("let a = 1;\n", 100), "app.js.gz": "\x1f\x8bready-made", "back\\slash.txt": "slash",
	}
	files["data.bin"] = string(harness.Noise("data", 5000))
	files["big.bin"] = string(harness.Noise("big", 200_000))
	return files
}

// generator generates requests, always the same ones from the same seed.
type generator struct {
	*rand.Rand
	sizes map[string]int
	asked map[string]bool
	all   []*request
}

func newGenerator(seed uint64) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), sizes: map[string]int{}, asked: map[string]bool{}}
	for name, content := range peerFiles() {
		g.sizes[name] = len(content)
	}
	return g
}

// requests returns about n different requests.
func (g *generator) requests(n int) []*request {
	for _, f := range []struct {
		name  string
		make  func() *request
		share int // percent
	}{
		{"range", g.rangeRequest, 30},
		{"condition", g.conditionRequest, 25},
		{"coding", g.codingRequest, 12},
		{"path", g.pathRequest, 20},
		{"message", g.messageRequest, 13},
	} {
		want, tries := n*f.share/100, 0
		for made := 0; made < want && tries < 50*want; tries++ {
			q := f.make()
			q.family = f.name
			if text := q.text("{tag}", "{coded}"); !g.asked[text] {
				g.asked[text] = true
				g.all = append(g.all, q)
				made++
			}
		}
	}
	return g.all
}

// about returns a plain request for one of the files.
func (g *generator) about(files ...string) *request {
	file := pick(g, files...)
	return &request{method: "GET", target: "/" + file, version: "HTTP/1.1", host: "phalanx.test", file: file, size: g.sizes[file]}
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// chance is true with a probability in percent.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (q *request) add(name, value string) { q.fields = append(q.fields, name+": "+value) }

func (g *generator) rangeRequest() *request {
	q := g.about("data.bin", "data.bin", "big.bin", "one.txt", "empty.txt", "page.html")
	if g.chance(8) {
		q.method = "HEAD"
	}
	q.add("Range", g.ranges(q.size))
	switch {
	case g.chance(25):
		q.add("If-Range", g.ifRange())
	case g.chance(15):
		g.conditions(q)
	}
	return q
}

// ranges returns the value of a Range field. About a third is not well-formed.
func (g *generator) ranges(size int) string {
	if g.chance(30) {
		return pick(g,
			"bytes=", "bytes=,", "bytes", "", "=0-1", "bytes=-", "bytes=--1", "bytes=1", "bytes=+1-2", "bytes=0x1-2", "bytes=-0",
			"bytes=1.0-2", "bytes=a-b", "bytes=0-1;", "bytes=0-1 2-3", "bytes =0-1", "bytes= 0-1", "bytes=0 -1", "bytes=0- 1",
			"Bytes=0-1", "BYTES=0-", "items=0-1", "seconds=1-2", "bytes=0-1,", "bytes=,0-1", "bytes=0-1,,3-4", "bytes=0-1, 3-4",
			"bytes=0-1 , 3-4", "bytes=0-1,junk", "bytes=0-0,5-1", "bytes=5-1", "bytes=99999999999999999999-",
			"bytes=0-99999999999999999999", "bytes=-99999999999999999999", "bytes=9223372036854775807-", "bytes=0-9223372036854775807",
			"bytes=0-0,-1", "bytes=0-,0-", "bytes=-1,-1", "bytes=00-01", "bytes=0-0,0-0,0-0",
			"bytes=0-"+strings.Repeat(",0-", 70), "bytes="+strings.TrimSuffix(strings.Repeat("5-5,", 300), ","),
		)
	}
	specs := make([]string, 1)
	if g.chance(40) {
		specs = make([]string, 2+g.IntN(4))
	}
	for i := range specs {
		specs[i] = g.spec(size)
	}
	return "bytes=" + strings.Join(specs, pick(g, ",", ", "))
}

// spec returns one range; most begin or end near the ends of the file.
func (g *generator) spec(size int) string {
	position := func() int {
		near := pick(g, 0, 1, size/2, size-1, size, size+1, g.IntN(size+1))
		return max(0, near)
	}
	first, last := position(), position()
	switch {
	case g.chance(20):
		return fmt.Sprintf("%d-", first)
	case g.chance(20):
		return fmt.Sprintf("-%d", last)
	case first > last && g.chance(90):
		first, last = last, first
	}
	return fmt.Sprintf("%d-%d", first, last)
}

func (g *generator) ifRange() string {
	at := harness.Modified().Format(http.TimeFormat)
	return pick(g, "{tag}", "{tag}", "{tag}", "W/{tag}", `"other"`, at, at, g.date(), g.date(), "*", "junk", "", "{tag}, {tag}")
}

// date returns a date near the files' modification time, in a permitted format or nearly so.
func (g *generator) date() string {
	at := harness.Modified().Add(pick(g, 0, 0, 0, -time.Second, time.Second, -24*time.Hour, 400*24*time.Hour, 100*365*24*time.Hour))
	return pick(g,
		at.Format(http.TimeFormat), at.Format(http.TimeFormat), at.Format(http.TimeFormat),
		at.Format("Monday, 02-Jan-06 15:04:05 GMT"), at.Format(time.ANSIC),
		at.Format(time.RFC3339), at.Format("Mon, 02 Jan 2006 15:04:05 +0000"), "yesterday", "0", "",
	)
}

func (g *generator) conditionRequest() *request {
	q := g.about("data.bin", "page.html", "empty.txt", "dir/", "missing.txt")
	if q.file == "dir/" {
		q.file, q.size = "dir/index.html", g.sizes["dir/index.html"]
	}
	if g.chance(15) {
		q.method = "HEAD"
	}
	g.conditions(q)
	if g.chance(20) {
		q.add("Range", pick(g, "bytes=0-0", "bytes=9999999-", "bytes=-1", "bytes=1-2,5-6"))
	}
	return q
}

// conditions adds one or more preconditions.
func (g *generator) conditions(q *request) {
	tags := func() string {
		return pick(g, "{tag}", "{tag}", "W/{tag}", `"other"`, `W/"other"`, "*", `"other", {tag}`, `"a","b" , {tag}`, `{tag},"other"`,
			`"oth,er", {tag}`, `*, "other"`, `"unterminated`, "unquoted", "", ",{tag}", "{tag}junk", `w/{tag}`)
	}
	for len(q.fields) == 0 || g.chance(35) {
		switch name := pick(g, "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"); {
		case q.has(name):
		case strings.HasSuffix(name, "Match"):
			q.add(name, tags())
		default:
			q.add(name, g.date())
		}
	}
}

func (g *generator) codingRequest() *request {
	q := g.about("app.js", "app.js", "app.js", "page.html", "app.js.gz")
	names := []string{"gzip", "gzip", "x-gzip", "GZIP", "br", "deflate", "identity", "*", "zstd", "other"}
	elements := make([]string, 1+g.IntN(4))
	for i := range elements {
		elements[i] = pick(g, names...) + pick(g, "", "", "", ";q=1", ";q=0", ";q=0.0", ";q=0.5", "; q=0.001", ";Q=0.8", ";q=1.000", ";q=2", ";q=", ";q=x", " ; q = 0")
	}
	q.add("Accept-Encoding", strings.Join(elements, pick(g, ",", ", ", " ,")))
	switch {
	case g.chance(12):
		q.add("Range", pick(g, "bytes=0-3", "bytes=-5", "bytes=5-,0-1"))
	case g.chance(12):
		q.add("If-None-Match", pick(g, "{tag}", "{coded}", "W/{coded}"))
	case g.chance(8):
		q.method = "HEAD"
	}
	return q
}
