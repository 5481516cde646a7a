// Package pdf renders a document as A4 pages with embedded fonts.
package pdf

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"codeberg.org/go-pdf/fpdf"

	"phalanx/tools/internal/document"
)

// Margins and width of the text in mm, font sizes in pt.
const (
	side, top, bottom = 18.0, 18.0, 18.0
	wide              = 210 - 2*side
	body              = 9.5
	small             = 8.2
	fontName          = "Liberation Sans"
)

// Write returns the file. date is its creation date, so that the same document
// gives the same file.
func Write(d document.Document, date time.Time) ([]byte, error) {
	w := newWriter(d.Title, date)
	w.AddPage()
	w.text("B", 20, d.Title, 8.5)
	w.Ln(1)
	w.SetTextColor(90, 90, 90)
	w.text("", body, d.Under, 4.6)
	for i, b := range d.Blocks {
		if err := w.block(b, d.Blocks[i+1:]); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if err := w.Output(&out); err != nil {
		return nil, fmt.Errorf("write the PDF: %w", err)
	}
	return out.Bytes(), nil
}

// newWriter returns a writer of a file without pages.
func newWriter(title string, date time.Time) writer {
	p := fpdf.New("P", "mm", "A4", "")
	p.SetCatalogSort(true)
	p.SetCreationDate(date)
	p.SetModificationDate(date)
	p.SetProducer("phalanx bench", true)
	p.SetTitle(title, true)
	p.AddUTF8FontFromBytes(fontName, "", liberationsansregular.TTF)
	p.AddUTF8FontFromBytes(fontName, "B", liberationsansbold.TTF)
	p.SetMargins(side, top, side)
	p.SetAutoPageBreak(true, bottom)
	p.AliasNbPages("{pages}")
	p.SetFooterFunc(func() {
		p.SetY(-12)
		p.SetFont(fontName, "", 8)
		p.SetTextColor(110, 110, 110)
		p.CellFormat(wide/2, 5, title, "", 0, "L", false, 0, "")
		p.CellFormat(wide/2, 5, fmt.Sprintf("%d of {pages}", p.PageNo()), "", 0, "R", false, 0, "")
	})
	return writer{p}
}

type writer struct{ *fpdf.Fpdf }

func (w writer) block(b document.Block, next []document.Block) error {
	switch b := b.(type) {
	case document.Heading:
		w.heading(b, next)
	case document.Paragraph:
		w.Ln(1.8)
		w.text("", body, b.Text, 4.6)
	case document.List:
		w.Ln(1.8)
		for _, item := range b.Items {
			w.item(item)
		}
	case document.Table:
		w.table(b)
	case document.Picture:
		return w.picture(b)
	}
	return nil
}

// text writes a paragraph in the current colour and then sets the default one. size is
// in pt, line is the height of a line in mm.
func (w writer) text(style string, size float64, s string, line float64) {
	w.SetFont(fontName, style, size)
	w.MultiCell(wide, line, s, "", "L", false)
	w.SetTextColor(25, 25, 25)
}

// heading writes a heading. It begins a page unless there is room for what follows: some
// lines, a table, or a paragraph with its picture.
func (w writer) heading(h document.Heading, next []document.Block) {
	need := 45.0
	if len(next) > 0 {
		switch b := next[0].(type) {
		case document.Table:
			need = 18 + float64(min(len(b.Rows), longTable))*rowHeight
		case document.Paragraph:
			if p, ok := next[min(1, len(next)-1)].(document.Picture); ok {
				w.SetFont(fontName, "", body)
				need = 12 + 1.8 + float64(len(w.SplitText(b.Text, wide)))*4.6 + heightOf(p)*leastScale + 4
			}
		}
	}
	if w.left() < need {
		w.AddPage()
	} else {
		w.Ln(5)
	}
	w.SetTextColor(0, 80, 130)
	w.text("B", 13.5, h.Text, 6)
	w.SetDrawColor(200, 205, 210)
	w.Line(side, w.GetY()+0.8, side+wide, w.GetY()+0.8)
	w.Ln(1)
}

func (w writer) left() float64 { return 297 - bottom - w.GetY() }

func (w writer) item(s string) {
	w.SetFont(fontName, "", body)
	y := w.GetY()
	lines := len(w.SplitText(s, wide-5))
	if w.left() < float64(lines)*4.6 {
		w.AddPage()
		y = w.GetY()
	}
	w.SetXY(side, y)
	w.CellFormat(5, 4.6, "•", "", 0, "C", false, 0, "")
	w.SetXY(side+5, y)
	w.MultiCell(wide-5, 4.6, s, "", "L", false)
	w.Ln(0.9)
}

// heightOf returns the height in mm of a picture that has the width of the text.
func heightOf(p document.Picture) float64 {
	width, height := p.Figure.Size()
	return wide * height.Points() / width.Points()
}

// leastScale is the smallest scale of a picture that is shrunk to fit on the current page.
const leastScale = 0.7

// picture draws a figure with the width of the text, or a little smaller if it then fits on
// the page.
func (w writer) picture(b document.Picture) error {
	width, points := b.Figure.Size()
	shrunk := math.Min(1, (w.left()-4)/heightOf(b))
	if shrunk < leastScale {
		w.AddPage()
		shrunk = 1
	}
	height := heightOf(b) * shrunk
	w.Ln(2.5)
	y, k := w.GetY(), w.GetConversionRatio()
	scale := shrunk * wide * k / width.Points()
	w.TransformBegin()
	w.Transform(fpdf.TransformMatrix{A: scale, D: scale, E: (side + wide*(1-shrunk)/2) * k, F: (297 - y - height) * k})
	err := b.Figure.Draw(canvas{w.Fpdf, width, points})
	w.TransformEnd()
	w.SetDashPattern(nil, 0)
	w.SetLineWidth(0.2)
	w.SetTextColor(25, 25, 25)
	w.SetXY(side, y+height)
	w.Ln(1)
	if err != nil {
		return fmt.Errorf("picture %s: %w", b.Figure.Name, err)
	}
	return nil
}

// withGlyphs replaces characters for which the font has no glyph.
func withGlyphs(s string) string { return strings.ReplaceAll(s, "\u2009", " ") }
