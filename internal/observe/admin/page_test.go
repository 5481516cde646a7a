package admin

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"phalanx/internal/observe/status"
)

// node is an element of the page.
type node struct {
	name  string
	attr  map[string]string
	text  strings.Builder // of this and those in it
	under []string
}

// read returns the page's elements. Except for style and script, the page can be parsed as
// XML, with HTML's void elements.
func read(t *testing.T, page string) []*node {
	t.Helper()
	page = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(page, "<$1></$1>")
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var all, open []*node
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("the page cannot be read: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name.Local, attr: map[string]string{}}
			for _, o := range open {
				n.under = append(n.under, o.name)
			}
			for _, a := range token.Attr {
				n.attr[a.Name.Local] = a.Value
			}
			all, open = append(all, n), append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			for _, o := range open {
				o.text.Write(token)
			}
		}
	}
}

func find(all []*node, name, key, value string) (found []*node) {
	for _, n := range all {
		if v, ok := n.attr[key]; n.name == name && (key == "" || ok && (value == "" || v == value)) {
			found = append(found, n)
		}
	}
	return found
}

func rendered(t *testing.T, pool status.Pool) string {
	t.Helper()
	text, err := newPage().render(pool)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page can be used with a screen reader, with the keyboard alone, and without its script.
func TestPageStructure(t *testing.T) {
	all := read(t, rendered(t, samplePool()))
	one := func(name, key, value string) *node {
		t.Helper()
		found := find(all, name, key, value)
		if len(found) != 1 {
			t.Fatalf("%d of <%s %s=%q>, want one", len(found), name, key, value)
		}
		return found[0]
	}
	if one("html", "", "").attr["lang"] != "en" || one("h1", "", "").text.Len() == 0 || one("title", "", "").text.String() != "serving – Phalanx [::]:8080" {
		t.Error("language, heading or title is missing")
	}
	one("main", "", "")
	if first := find(all, "section", "", "")[0]; first.attr["aria-labelledby"] != "wrong" {
		t.Errorf("the page begins with %v, want the problems", first.attr)
	}
	one("caption", "", "")
	if meta := one("meta", "http-equiv", "refresh"); !slices.Contains(meta.under, "noscript") {
		t.Error("the page reloads itself although it has a script")
	}
	live := 0
	for _, n := range all {
		if n.attr["aria-live"] != "" || n.attr["role"] == "status" || n.attr["role"] == "alert" {
			live++
		}
		if n.attr["src"] != "" || n.attr["style"] != "" || n.attr["onclick"] != "" || n.name == "link" && n.attr["href"] != "data:," {
			t.Errorf("unexpected element <%s %v>", n.name, n.attr)
		}
	}
	if state := one("p", "id", "state"); state.attr["aria-live"] != "polite" || live != 2 || state.text.String() != "serving" {
		t.Errorf("%d live regions, and the state is %q", live, &state.text)
	}
	if text := one("ul", "id", "problems").text.String(); !strings.Contains(text, "slot 2 has no worker after 0 deaths") {
		t.Errorf("the problems are %q", text)
	}
	if columns, rows := find(all, "th", "scope", "col"), find(all, "th", "scope", "row"); len(columns) != 12 || len(rows) != 4+1 {
		t.Errorf("%d columns, %d rows", len(columns), len(rows))
	}
	for _, svg := range find(all, "svg", "", "") {
		if svg.attr["role"] != "img" || !regexp.MustCompile(`^.+ in the last minute: lowest .*\d.*, highest .*\d`).MatchString(svg.attr["aria-label"]) {
			t.Errorf("the chart says %q", svg.attr["aria-label"])
		}
	}
	for id, want := range map[string]string{"total-answered": "4,081,218", "total-c5xx": "6", "total-active": "1,000, 720 idle", "total-p50": "184 µs"} {
		if got := one("dd", "id", id).text.String(); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
}

// The script finds every element that it writes to.
func TestScriptKnowsThePage(t *testing.T) {
	all := read(t, rendered(t, samplePool()))
	ids, fields := map[string]bool{}, map[string]bool{}
	for _, n := range all {
		if id := n.attr["id"]; id != "" && ids[id] {
			t.Errorf("id %s occurs twice", id)
		}
		ids[n.attr["id"]] = true
		fields[n.attr["data-field"]] = true
	}
	named := regexp.MustCompile(`element\('(\w+)'\)`).FindAllStringSubmatch(statusJS, -1)
	for _, m := range regexp.MustCompile(`showChart\('(\w+)'`).FindAllStringSubmatch(statusJS, -1) {
		named = append(named, []string{"", "chart-" + m[1]})
	}
	list := regexp.MustCompile(`for \(const name of \[(.*?)\]\)`).FindAllStringSubmatch(statusJS, -1)
	for _, l := range list {
		named = append(named, regexp.MustCompile(`'(\w+)'`).FindAllStringSubmatch(l[1], -1)...)
	}
	if len(named) < 15 || len(list) != 2 {
		t.Fatalf("only %d names are found", len(named))
	}
	for _, m := range named {
		if !ids[m[1]] {
			t.Errorf("the script looks for %s", m[1])
		}
	}
	keys := func(begin string) (keys []string) {
		_, object, _ := strings.Cut(statusJS, begin)
		object, _, _ = strings.Cut(object, "\n\t\t};")
		for _, m := range regexp.MustCompile(`(?:^|[,\n])\s*(\w+): `).FindAllStringSubmatch(object, -1) {
			keys = append(keys, m[1])
		}
		return keys
	}
	figureKeys, fieldKeys := keys("const figures = {"), keys("const values = {")
	if len(figureKeys) < 10 || len(fieldKeys) < 12 {
		t.Fatalf("%q, %q", figureKeys, fieldKeys)
	}
	for _, key := range figureKeys {
		if !ids["total-"+key] {
			t.Errorf("the script has a figure %s", key)
		}
	}
	for _, key := range fieldKeys {
		if !fields[key] {
			t.Errorf("the script has a field %s", key)
		}
	}
	for _, f := range figures(&status.Figures{}) {
		if !slices.Contains(figureKeys, f.Key) {
			t.Errorf("the script does not update %s", f.Key)
		}
	}
}

// The Content-Security-Policy allows exactly the style and script of the page.
func TestPolicy(t *testing.T) {
	p := newPage()
	text := rendered(t, samplePool())
	for _, name := range []string{"style", "script"} {
		m := regexp.MustCompile(`(?s)<`+name+`>(.*?)</`+name+`>`).FindAllStringSubmatch(text, -1)
		if len(m) != 1 || !strings.Contains(p.policy, name+"-src 'sha256-"+digest(m[0][1])+"'") {
			t.Errorf("%d elements <%s>, or one that %s does not allow", len(m), name, p.policy)
		}
	}
	if strings.Contains(p.policy, "unsafe") || strings.Contains(text, "http://") || strings.Contains(text, "https://") || strings.Contains(statusJS, "innerHTML") {
		t.Error("the page loads something from elsewhere")
	}
}

// What clients send is shown as text, completely and without effect.
func TestHostileLines(t *testing.T) {
	pool := samplePool()
	pool.Workers[1].Oldest.Line = "GET /\"'><script>alert(1)</script><!--\u202e\u2066\u200f\x1b[2J\xff{{.}}"
	text := rendered(t, pool)
	if strings.Contains(text, "<script>alert") || strings.ContainsAny(text, "\u202e\u2066\u200f\x1b") || !utf8.ValidString(text) {
		t.Error("the client's markup is in the page")
	}
	found := find(read(t, text), "bdi", "data-field", "line")
	want := `GET /"'><script>alert(1)</script><!--\u202e\u2066\u200f\x1b[2J` + "\uFFFD{{.}}"
	if len(found) != 5 || found[1].text.String() != want {
		t.Errorf("%d lines, the second %q", len(found), &found[1].text)
	}
}

// There is a page for a pool without any data yet.
func TestEmptyPool(t *testing.T) {
	text := rendered(t, status.Pool{State: status.Starting})
	if strings.Contains(text, "NaN") || len(find(read(t, text), "tr", "data-key", "")) != 1 {
		t.Errorf("%s", text)
	}
	if !strings.Contains(rendered(t, status.Pool{State: status.LameDuck}), ">lame duck</p>") {
		t.Error("the state is not in words")
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct {
		values     []float64
		line, area string
	}{
		{nil, "", ""},
		{[]float64{5}, "", ""},
		{[]float64{0, 0}, "M58 40.0L59 40.0", "M58 40.0L59 40.0V40H58Z"},
		{[]float64{0, 5, 10}, "M57 40.0L58 21.0L59 2.0", "M57 40.0L58 21.0L59 2.0V40H57Z"},
	} {
		_, high := extremes(test.values)
		if line, area := paths(test.values, high); line != test.line || area != test.area {
			t.Errorf("%v: %q, %q", test.values, line, area)
		}
	}
	if line, _ := paths(make([]float64, 100), 0); !strings.HasPrefix(line, "M0 ") || strings.Count(line, "L") != 59 {
		t.Errorf("a hundred points: %q", line)
	}
}

// Text has enough contrast: WCAG 2.2, 1.4.3, requires 4.5 to 1.
func TestContrast(t *testing.T) {
	declared := regexp.MustCompile(`(--[a-z-]+|background|color): ?light-dark\(#([0-9a-f]+), ?#([0-9a-f]+)\)`).FindAllStringSubmatch(statusStyle(), -1)
	for scheme := range 2 {
		colours := map[string]float64{}
		for _, m := range declared {
			name := map[string]string{"background": "ground", "color": "text"}[m[1]]
			if hex := m[2+scheme]; len(hex) != 8 { // not one that lets others shine through
				colours[cmp.Or(name, strings.TrimPrefix(m[1], "--"))] = luminance(t, hex)
			}
		}
		for _, pair := range []string{
			"text/ground", "text/card", "dim/ground", "dim/card", "mark/card", "mark/ground", "bad/card",
			"good/good-ground", "warn/warn-ground", "bad/bad-ground", "calm/calm-ground",
		} {
			front, back, _ := strings.Cut(pair, "/")
			a, ok := colours[front]
			b, there := colours[back]
			if ratio := (max(a, b) + .05) / (min(a, b) + .05); !ok || !there || ratio < 4.5 {
				t.Errorf("%s: %.2f to 1", pair, ratio)
			}
		}
	}
}

// luminance returns the relative luminance as WCAG 2.2 defines it.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift int) float64 {
		c := float64(n>>shift&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

// The page lists certificates, and marks those that need attention.
func TestPageCertificates(t *testing.T) {
	all := read(t, rendered(t, samplePool()))
	list := find(all, "dl", "id", "certificates")[0].text.String()
	for _, want := range []string{
		"www.example.orgECDSA, expired 1 h 30 min ago\n", "www.example.orgECDSA, expires in 1 h 0 min\n",
		"www.example.orgRSA, expires in 89 d 4 h\n", "*.<b>\\u202e\uFFFD\"\\x0aECDSA, expires in 89 d 5 h\n",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is missing in %q", want, list)
		}
	}
	section := func(all []*node) *node { return find(all, "section", "aria-labelledby", "tls")[0] }
	if _, hidden := section(all).attr["hidden"]; hidden {
		t.Error("the certificates are hidden")
	}
	if _, hidden := section(read(t, rendered(t, status.Pool{}))).attr["hidden"]; !hidden {
		t.Error("a pool without certificates shows some")
	}
}

// Requests over HTTP/2 are counted among the pool's figures.
func TestPageHTTP2(t *testing.T) {
	for want, c := range map[string]struct {
		requests uint64
		h        *status.HTTP2
	}{
		"1,234 requests":                      {1234, &status.HTTP2{}},
		"1,234 requests, 3 connection errors": {1234, &status.HTTP2{Ended: map[string]uint64{"resets": 1, "pings": 2}}},
		"1 request, 1 connection error":       {1, &status.HTTP2{Ended: map[string]uint64{"resets": 1}}},
	} {
		pool := samplePool()
		pool.Total.HTTP2, pool.Total.Versions = c.h, map[string]uint64{"2": c.requests}
		if got := find(read(t, rendered(t, pool)), "dd", "id", "http2")[0].text.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Handshakes are counted below the certificates.
func TestPageHandshakes(t *testing.T) {
	for want, tls := range map[string]*status.TLS{
		"No handshakes yet": nil,
		"1,234 handshakes, 7 resumed, 3 failed": {
			Handshakes: map[string]uint64{"1.2": 34, "1.3": 1200}, Resumed: 7, Failed: map[string]uint64{"version": 1, "alert": 2},
		},
	} {
		pool := samplePool()
		pool.Total.TLS = tls
		if got := find(read(t, rendered(t, pool)), "p", "id", "handshakes")[0].text.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
