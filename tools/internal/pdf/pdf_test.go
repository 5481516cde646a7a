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
		document.Heading{Text: "Section"},
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
	if !bytes.HasPrefix(first, []byte("%PDF-")) || bytes.Count(first, []byte("/Type /Page\n")) != 3 {
		t.Errorf("%d bytes, %d pages", len(first), bytes.Count(first, []byte("/Type /Page\n")))
	}
	again, err := Write(d, date)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same document results in a different file: %v", err)
	}
}

// Figures are drawn as vectors: there is no image in the file.
func TestFiguresAreVectors(t *testing.T) {
	d := document.Document{Title: "Title"}
	d.Add(document.Picture{Figure: chart.Bars(chart.Figure{Name: "bars", Title: "Bars"}, chart.Group{Bars: []chart.Bar{{Name: "a", Y: 1, Label: "one"}}})})
	data, err := Write(d, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil || bytes.Contains(data, []byte("/Subtype /Image")) || len(data) > 100_000 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// If the page has room for all cells in one line, only the head breaks.
func TestHeadBreaksFirst(t *testing.T) {
	table := document.Table{Head: []string{"Model, users"}, Rows: [][]string{{"process-netpoll, 512"}}}
	for range 6 {
		table.Head = append(table.Head, "a very long heading of a column")
		table.Rows[0] = append(table.Rows[0], "1.01 × mean")
	}
	w := newWriter("Title", time.Time{})
	size, widths := w.fit(table)
	w.SetFont(fontName, "", size)
	for c, s := range table.Rows[0] {
		if lines := w.SplitText(withGlyphs(s), widths[c]-2); len(lines) != 1 {
			t.Errorf("%q has %d lines", s, len(lines))
		}
	}
	if total := sum(widths); total > wide+0.01 {
		t.Errorf("%.1f mm wide, the page has %.1f", total, wide)
	}
}

// A table that is too wide breaks lines between words, never within a word.
func TestWideTable(t *testing.T) {
	cell := "126,687 (125,524–133,617), gone after 2"
	table := document.Table{Head: []string{"Server", strings.Repeat("failed requests ", 4)}, Rows: [][]string{{"fasthttp-prefork 1.77.0", cell}}}
	for range 6 {
		table.Head = append(table.Head, table.Head[1])
		table.Rows[0] = append(table.Rows[0], cell)
	}
	w := newWriter("Title", time.Time{})
	size, widths := w.fit(table)
	if total := sum(widths); total > wide+0.01 {
		t.Errorf("%.1f mm wide, the page has %.1f", total, wide)
	}
	w.SetFont(fontName, "", size)
	for c, s := range table.Rows[0] {
		for _, part := range w.SplitText(withGlyphs(s), widths[c]-2) {
			if !strings.Contains(" "+s+" ", " "+strings.TrimSpace(part)+" ") {
				t.Errorf("%q is broken at %q", s, part)
			}
		}
	}
}
