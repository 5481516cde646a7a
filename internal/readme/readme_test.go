package readme

import (
	"strings"
	"syscall"
	"testing"
)

func TestHTML(t *testing.T) {
	for markdown, want := range map[string]string{
		"# Title":                       `<h2 id="title">Title</h2>`,
		"###### Six":                    `<h6 id="six">Six</h6>`,
		"a *b* **c** ~~d~~ `e`":         `<p>a <em>b</em> <strong>c</strong> <del>d</del> <code>e</code></p>`,
		"[x](./y.md)":                   `<a href="./y.md" rel="nofollow noreferrer">x</a>`,
		"https://example.org":           `<a href="https://example.org" rel="nofollow noreferrer">`,
		"|a|b|\n|:-|-:|\n|1|2|":         `<td align="right">2</td>`,
		"![alt](pic.png)":               `<img src="pic.png" alt="alt"`,
		"<details><summary>s</summary>": `<details><summary>s</summary>`,
		"a & b < c \xff":                "a &amp; b &lt; c \ufffd",
	} {
		got, err := HTML([]byte(markdown))
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%q: %s, %v, want %s", markdown, got, err, want)
		}
	}
}

// Nothing in a README can run, load anything from elsewhere, or change the page around it.
func TestHTMLIsSafe(t *testing.T) {
	for _, markdown := range []string{
		"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](data:text/html,x)", "<a href='java&#115;cript:alert(1)'>x</a>",
		"![x](https://example.org/pixel.png)", "![x](//example.org/pixel.png)", "<img src='\\\\example.org/x'>", "<img src=' //example.org/x'>", "<img src='&#9;//example.org/x'>", "<img src='&nbsp;//example.org/x'>", "<svg onload=alert(1)>", "<style>*{display:none}</style>",
		"<p style='position:fixed'>", "<iframe src=/>", "<form action=/><input><button>x", "<base href=//example.org>", "<meta http-equiv=refresh content=0>", "<link rel=stylesheet href=x>",
		"</article></main><h1>x", "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", "<time>1</time>", "<p id=x class=bar>", "<object data=x>", "<details ontoggle=alert(1) open>",
	} {
		got, err := HTML([]byte(markdown))
		text := strings.ToLower(string(got))
		for _, bad := range []string{"<script", "onerror", "onload", "ontoggle", "javascript:", "data:", "example.org/", "<svg", "<style", "style=", "<iframe", "<form", "<input", "<base", "<meta", "<link", "</article", "<h1", "<time", "class=", "<object", "<math"} {
			if strings.Contains(text, bad) || err != nil {
				t.Errorf("%q: %s, %v", markdown, got, err)
			}
		}
	}
}

// A short README can have thousands of links with a long address. Its HTML is never in memory
// as a whole.
func TestHTMLThatIsTooLong(t *testing.T) {
	markdown := "[a]: " + strings.Repeat("&", 30<<10) + "\n\n" + strings.Repeat("[a] ", 8000)
	if got, err := HTML([]byte(markdown)); err == nil || !strings.Contains(err.Error(), "convert README: more than") {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil || used.Maxrss > 300<<10 {
		t.Errorf("the peak memory is %d KiB, error %v", used.Maxrss, err)
	}
}

func FuzzHTML(f *testing.F) {
	f.Add([]byte("# a\n\n* b\n\n|c|\n|-|\n<script>x</script>"))
	f.Fuzz(func(t *testing.T, markdown []byte) {
		got, err := HTML(markdown)
		if err == nil && strings.Contains(strings.ToLower(string(got)), "<script") {
			t.Errorf("%q: %s", markdown, got)
		}
	})
}
