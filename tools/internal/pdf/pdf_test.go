package pdf

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"phalanx/tools/internal/chart"
	"phalanx/tools/internal/document"
)

func TestWrite(t *testing.T) {
	d := document.Document{Title: "Title", Under: "µ and – are there."}
	d.Add(
		document.Heading{Text: "Section", Page: true},
		document.Paragraph{Text: strings.Repeat("A sentence. ", 40)},
		document.List{Items: []string{"one", strings.Repeat("two ", 60)}},
		document.Table{Caption: "Long", Head: []string{"a", "b"}, Rows: make([][]string, 120)},
		document.Picture{Figure: chart.Bars(chart.Figure{Name: "bars"}, chart.Group{Bars: []chart.Bar{{Name: "a", Y: 1}}})},
	)
	table := d.Blocks[3].(document.Table)
	for i := range table.Rows {
		table.Rows[i] = []string{"name", "1,234"}
	}
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first, err := Write(d, date)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(first, []byte("%PDF-")) || bytes.Count(first, []byte("/Type /Page\n")) < 4 {
		t.Errorf("%d bytes, %d pages", len(first), bytes.Count(first, []byte("/Type /Page\n")))
	}
	again, err := Write(d, date)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same document gives another file: %v", err)
	}
}
