package pdf

import (
	"math"
	"strings"

	"phalanx/tools/internal/document"
)

const (
	rowHeight = 5.0
	lineGap   = 3.7
)

// table draws a table whose columns are as wide as their words need, the
// rest of the width shared out. It is kept on one page where one can hold it.
func (w writer) table(t document.Table) {
	whole := 12 + float64(len(t.Rows)+1)*rowHeight
	if w.left() < math.Min(whole, 297-top-bottom) {
		w.AddPage()
	}
	w.Ln(3)
	if t.Caption != "" {
		w.text("B", body, t.Caption, 4.6)
		w.Ln(0.8)
	}
	size, widths := w.fit(t)
	w.SetDrawColor(120, 125, 130)
	w.row(t.Head, widths, size, "B", t.Text, false)
	w.rule(widths)
	for i, r := range t.Rows {
		if w.left() < rowHeight {
			w.AddPage()
			w.row(t.Head, widths, size, "B", t.Text, false)
			w.rule(widths)
		}
		w.row(r, widths, size, "", t.Text, i%2 == 1)
	}
	w.rule(widths)
	w.Ln(1)
}

func (w writer) rule(widths []float64) {
	w.Line(side, w.GetY(), side+sum(widths), w.GetY())
}

// smallest is the least size of a table's text, in pt.
const smallest = 5.5

// fit returns the size of the text, at most small, and the widths of the columns: what
// each needs, or else a share of the page that breaks lines, but no word.
func (w writer) fit(t document.Table) (size float64, widths []float64) {
	for size = small; ; size -= 0.3 {
		whole, words := w.needs(t, size)
		want, least := sum(whole), sum(words)
		switch {
		case want <= wide:
			if !t.Text {
				for c := range whole {
					whole[c] += math.Min(8, (wide-want)/float64(len(whole)))
				}
			}
			return size, whole
		case least <= wide || size <= smallest:
			// What is left beyond the words goes to those that need more.
			for c := range words {
				words[c] += (whole[c] - words[c]) * math.Max(0, wide-least) / math.Max(want-least, 1e-9)
			}
			return size, words
		}
	}
}

// needs is how wide each column is with its cells in one line, and with a line for each
// of their words.
func (w writer) needs(t document.Table, size float64) (whole, words []float64) {
	const pad = 4.0
	whole, words = make([]float64, len(t.Head)), make([]float64, len(t.Head))
	measure := func(c int, cell string) {
		whole[c] = math.Max(whole[c], w.GetStringWidth(mend(cell))+pad)
		for word := range strings.FieldsSeq(mend(cell)) {
			words[c] = math.Max(words[c], w.GetStringWidth(word)+pad)
		}
	}
	w.SetFont(fontName, "B", size)
	for c, cell := range t.Head {
		measure(c, cell)
	}
	w.SetFont(fontName, "", size)
	for _, r := range t.Rows {
		for c, cell := range r[:min(len(r), len(t.Head))] {
			measure(c, cell)
		}
	}
	return whole, words
}

func sum(all []float64) (total float64) {
	for _, x := range all {
		total += x
	}
	return total
}

// row writes one row; a cell too long for its column takes several lines.
func (w writer) row(cells []string, widths []float64, size float64, style string, text, shaded bool) {
	w.SetFont(fontName, style, size)
	lines := 1
	for c, s := range cells {
		lines = max(lines, len(w.SplitText(mend(s), widths[c]-2)))
	}
	height := rowHeight + float64(lines-1)*lineGap
	if w.left() < height {
		w.AddPage()
		w.SetFont(fontName, style, size)
	}
	y, x := w.GetY(), side
	w.SetFillColor(244, 246, 248)
	for c, s := range cells {
		align := "R"
		if c == 0 || text {
			align = "L"
		}
		if shaded {
			w.Rect(x, y, widths[c], height, "F")
		}
		for i, part := range w.SplitText(mend(s), widths[c]-2) {
			w.SetXY(x, y+float64(i)*lineGap)
			w.CellFormat(widths[c], rowHeight, part, "", 0, align, false, 0, "")
		}
		x += widths[c]
	}
	w.SetXY(side, y+height)
}
