package pdf

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"phalanx/tools/internal/document"
)

const (
	rowHeight = 4.5 // mm; two tables of all models with six levels fill a page
	lineGap   = 3.7 // mm between the lines of a cell
)

// A table of more than longTable rows may continue on the next page, with at least leastRows
// on each side of the break.
const (
	longTable = 12
	leastRows = 5
)

// table draws a table with its caption. It repeats the head on each page.
func (w writer) table(t document.Table) {
	size, widths := w.fit(t)
	together := t.Rows
	if len(together) > longTable {
		together = together[:leastRows]
	}
	if w.left() < 12+w.height(t.Head, widths, size)+w.heights(together, widths, size) {
		w.AddPage()
	}
	w.Ln(3)
	if t.Caption != "" {
		w.text("B", body, t.Caption, 4.6)
		w.Ln(0.8)
	}
	w.SetDrawColor(120, 125, 130)
	head := func() {
		w.row(t.Head, widths, size, "B", t.Text, false)
		w.rule(widths)
	}
	head()
	for i, r := range t.Rows {
		rest := t.Rows[i:]
		last := len(rest) == leastRows && len(t.Rows) > longTable && w.left() < w.heights(rest, widths, size)
		if last || w.left() < w.height(r, widths, size) {
			w.AddPage()
			head()
		}
		w.row(r, widths, size, "", t.Text, i%2 == 1)
	}
	w.rule(widths)
	w.Ln(1)
}

// height returns the height of a row in mm, which is that of its highest cell.
func (w writer) height(cells []string, widths []float64, size float64) float64 {
	w.SetFont(fontName, "", size)
	lines := 1
	for c, s := range cells {
		lines = max(lines, len(w.SplitText(withGlyphs(s), widths[c]-2)))
	}
	return rowHeight + float64(lines-1)*lineGap
}

func (w writer) heights(rows [][]string, widths []float64, size float64) (total float64) {
	for _, r := range rows {
		total += w.height(r, widths, size)
	}
	return total
}

func (w writer) rule(widths []float64) {
	w.Line(side, w.GetY(), side+sum(widths), w.GetY())
}

// The smallest sizes of a table's text, in pt: before cells break into lines, and before
// words do.
const (
	smallestLines = 7.0
	smallestWords = 5.5
)

// fit returns the size of the text in pt, at most small, and the widths of the columns in
// mm. If the table does not fit as it is, the cells of the head break into lines, then those
// of all rows. Words break only at the smallest size.
func (w writer) fit(t document.Table) (size float64, widths []float64) {
	for size = small; size >= smallestLines && !t.Text; size -= 0.3 {
		if n := w.needs(t, size); sum(n.rows) <= wide {
			return size, share(n.rows, n.whole, math.Min(8, wide/float64(len(n.rows))))
		}
	}
	for size = small; ; size -= 0.3 {
		n := w.needs(t, size)
		switch {
		case t.Text && sum(n.whole) <= wide:
			return size, n.whole
		case sum(n.words) <= wide || size <= smallestWords:
			return size, share(n.words, n.whole, 0)
		}
	}
}

// share widens columns from least towards want, as far as the width of the text allows. It
// begins with those that lack the least, so that few have to break lines. What is left it
// spreads evenly, up to more for each column.
func share(least, want []float64, more float64) []float64 {
	widths := slices.Clone(least)
	order := make([]int, len(least))
	for c := range order {
		order[c] = c
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(want[a]-least[a], want[b]-least[b]) })
	left := math.Max(0, wide-sum(least))
	for i, c := range order {
		gets := math.Min(want[c]-least[c], left/float64(len(order)-i))
		widths[c] += gets
		left -= gets
	}
	for c := range widths {
		widths[c] += math.Min(more, left/float64(len(widths)))
	}
	return widths
}

// needs holds widths of columns in mm.
type needs struct {
	whole []float64 // with every cell in one line
	rows  []float64 // with every cell but those of the head in one line
	words []float64 // with each word on its own line
}

func (w writer) needs(t document.Table, size float64) needs {
	const pad = 4.0
	n := needs{whole: make([]float64, len(t.Head)), rows: make([]float64, len(t.Head)), words: make([]float64, len(t.Head))}
	measure := func(c int, cell string, head bool) {
		whole := w.GetStringWidth(withGlyphs(cell)) + pad
		n.whole[c] = math.Max(n.whole[c], whole)
		for word := range strings.FieldsSeq(withGlyphs(cell)) {
			n.words[c] = math.Max(n.words[c], w.GetStringWidth(word)+pad)
		}
		if n.rows[c] = math.Max(n.rows[c], n.words[c]); !head {
			n.rows[c] = math.Max(n.rows[c], whole)
		}
	}
	w.SetFont(fontName, "B", size)
	for c, cell := range t.Head {
		measure(c, cell, true)
	}
	w.SetFont(fontName, "", size)
	for _, r := range t.Rows {
		for c, cell := range r[:min(len(r), len(t.Head))] {
			measure(c, cell, false)
		}
	}
	return n
}

func sum(all []float64) (total float64) {
	for _, x := range all {
		total += x
	}
	return total
}

// row writes one row; a cell that is too long for its column takes several lines.
func (w writer) row(cells []string, widths []float64, size float64, style string, text, shaded bool) {
	w.SetFont(fontName, style, size)
	parts := make([][]string, len(cells))
	lines := 1
	for c, s := range cells {
		parts[c] = w.SplitText(withGlyphs(s), widths[c]-2)
		lines = max(lines, len(parts[c]))
	}
	height := rowHeight + float64(lines-1)*lineGap
	y, x := w.GetY(), side
	w.SetFillColor(244, 246, 248)
	for c := range cells {
		align := "R"
		if c == 0 || text {
			align = "L"
		}
		if shaded {
			w.Rect(x, y, widths[c], height, "F")
		}
		for i, part := range parts[c] {
			w.SetXY(x, y+float64(i)*lineGap)
			w.CellFormat(widths[c], rowHeight, part, "", 0, align, false, 0, "")
		}
		x += widths[c]
	}
	w.SetXY(side, y+height)
}
