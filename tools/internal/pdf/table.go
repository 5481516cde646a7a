package pdf

import (
	"math"

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
	widths := w.widths(t)
	w.SetDrawColor(120, 125, 130)
	w.row(t.Head, widths, "B", t.Text, false)
	w.rule(widths)
	for i, r := range t.Rows {
		if w.left() < rowHeight {
			w.AddPage()
			w.row(t.Head, widths, "B", t.Text, false)
			w.rule(widths)
		}
		w.row(r, widths, "", t.Text, i%2 == 1)
	}
	w.rule(widths)
	w.Ln(1)
}

func (w writer) rule(widths []float64) {
	total := 0.0
	for _, x := range widths {
		total += x
	}
	w.Line(side, w.GetY(), side+total, w.GetY())
}

// widths gives each column what its cells need, and what is left to the
// headings that need more, which else take several lines.
func (w writer) widths(t document.Table) []float64 {
	const pad = 4.0
	widths, more := make([]float64, len(t.Head)), make([]float64, len(t.Head))
	total, wanted := 0.0, 0.0
	for c := range t.Head {
		w.SetFont(font, "", small)
		for _, r := range t.Rows {
			if c < len(r) {
				widths[c] = math.Max(widths[c], w.GetStringWidth(mend(r[c]))+pad)
			}
		}
		w.SetFont(font, "B", small)
		more[c] = math.Max(0, w.GetStringWidth(t.Head[c])+pad-widths[c])
		total += widths[c]
		wanted += more[c]
	}
	if t.Text && total > wide { // the last column is the one with sentences
		widths[len(widths)-1] -= total - wide
		return widths
	}
	free := wide - total
	for c := range widths {
		switch {
		case free < 0:
			widths[c] *= wide / total
		case wanted > free:
			widths[c] += more[c] * free / wanted
		default:
			widths[c] += more[c]
			if !t.Text {
				widths[c] += math.Min(8, (free-wanted)/float64(len(widths)))
			}
		}
	}
	return widths
}

// row writes one row; a cell too long for its column takes several lines.
func (w writer) row(cells []string, widths []float64, style string, text, shaded bool) {
	w.SetFont(font, style, small)
	lines := 1
	for c, s := range cells {
		lines = max(lines, len(w.SplitText(mend(s), widths[c]-2)))
	}
	height := rowHeight + float64(lines-1)*lineGap
	if w.left() < height {
		w.AddPage()
		w.SetFont(font, style, small)
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
