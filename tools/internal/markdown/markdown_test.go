package markdown

import (
	"strings"
	"testing"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
)

func TestWrite(t *testing.T) {
	d := document.Document{Title: "Title", Under: "Under it."}
	d.Add(
		document.Heading{Text: "Section"},
		document.Paragraph{Text: "tcp_tw_reuse " + strings.Repeat("word ", 20)},
		document.List{Items: []string{"one", strings.Repeat("long ", 20)}},
		document.Table{Caption: "Numbers", Head: []string{"name", "value"}, Rows: [][]string{{"a|b", "1"}}},
		document.Picture{Figure: chart.Figure{Name: "fan"}, Alt: "A fan"},
	)
	want := `# Title

Under it.

## Section

tcp\_tw\_reuse word word word word word word word word word word word word word
word word word word word word word

- one
- long long long long long long long long long long long long long long long
  long long long long long

**Numbers**

| name | value |
|---|---:|
| a\|b | 1 |

![A fan](charts/fan.svg)
`
	if got := string(Write(d)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
