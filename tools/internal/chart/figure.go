// Package chart draws the figures of the reports as SVG and as PNG. It knows
// axes, lines and bars, but not servers. The colours are from the palette of
// Okabe and Ito, which colour-blind readers can tell apart; lines also differ
// in their markers.
package chart

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Role determines the appearance of a line or bar.
type Role int

const (
	First  Role = iota // the subject of the figure
	Second             // what it is compared with
	Third              // a baseline
	Fourth             // a variant of First
	Other              // everything else
)

func (r Role) color() color.Color {
	switch r {
	case First:
		return color.NRGBA{0x00, 0x72, 0xB2, 0xFF} // blue
	case Second:
		return color.NRGBA{0xD5, 0x5E, 0x00, 0xFF} // vermillion
	case Third:
		return color.NRGBA{0x4D, 0x4D, 0x4D, 0xFF} // dark grey
	case Fourth:
		return color.NRGBA{0x56, 0xB4, 0xE9, 0xFF} // sky blue
	}
	return color.NRGBA{0xA9, 0xB4, 0xBE, 0xFF} // light grey
}

func (r Role) glyph() draw.GlyphDrawer {
	switch r {
	case First:
		return draw.CircleGlyph{}
	case Second:
		return draw.BoxGlyph{}
	case Third:
		return draw.PyramidGlyph{}
	case Fourth:
		return draw.RingGlyph{}
	}
	return draw.CrossGlyph{}
}

func (r Role) dashes() []vg.Length {
	switch r {
	case Second:
		return []vg.Length{vg.Points(6), vg.Points(2)}
	case Third:
		return []vg.Length{vg.Points(2), vg.Points(2)}
	}
	return nil
}

// Figure is a chart that can be drawn on any canvas.
type Figure struct {
	Name          string // of its files, without extension
	Title         string
	Note          string // below the title, small
	Legend        []Key
	width, height vg.Length
	body          func(draw.Canvas) error
}

// Key is an entry of a legend.
type Key struct {
	Name  string
	Role  Role
	Block bool // a block of colour instead of a line
}

const dpi = 200 // of PNGs: sharp when printed at page width

// SVG returns the figure as SVG. If the font is missing, viewers use one of the
// same width.
func (f Figure) SVG() ([]byte, error) {
	c := vgsvg.New(f.width, f.height)
	if err := f.draw(draw.New(c)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;font-variant:normal;"),
		[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

// Size returns the size of the figure in points.
func (f Figure) Size() (width, height vg.Length) { return f.width, f.height }

// Draw draws the figure on a canvas of its size.
func (f Figure) Draw(c vg.CanvasSizer) error { return f.draw(draw.New(c)) }

// PNG returns the figure as PNG, with 200 dots per inch.
func (f Figure) PNG() ([]byte, error) {
	c := vgimg.NewWith(vgimg.UseWH(f.width, f.height), vgimg.UseDPI(dpi))
	if err := f.draw(draw.New(c)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(&b)
	return b.Bytes(), err
}

const margin = vg.Length(10)

func (f Figure) draw(c draw.Canvas) error {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	top := c.Max.Y - margin
	left := c.Min.X + margin
	write := func(s string, size font.Length, bold bool, ink color.Color) {
		if s == "" {
			return
		}
		style := words(size, bold, ink)
		style.YAlign = draw.YTop
		c.FillText(style, vg.Point{X: left, Y: top}, s)
		top -= style.Height(s) + 4
	}
	write(f.Title, 13, true, color.Gray{0x10})
	write(f.Note, 9.5, false, color.Gray{0x55})
	top = f.legend(c, left, top-3)
	if f.body == nil {
		return fmt.Errorf("figure %s has no body", f.Name)
	}
	return f.body(draw.Crop(c, margin/2, -margin, margin/2, top-c.Max.Y))
}

func (f Figure) legend(c draw.Canvas, left, top vg.Length) vg.Length {
	if len(f.Legend) == 0 {
		return top
	}
	style := words(10, false, color.Gray{0x10})
	style.YAlign = draw.YCenter
	y, x := top-6, left
	const swatch = vg.Length(26)
	for _, k := range f.Legend {
		if k.Block {
			c.FillPolygon(k.Role.color(), []vg.Point{{X: x, Y: y - 4}, {X: x + swatch/2, Y: y - 4}, {X: x + swatch/2, Y: y + 4}, {X: x, Y: y + 4}})
		} else {
			c.StrokeLine2(stroke(k.Role), x, y, x+swatch, y)
			c.DrawGlyph(glyph(k.Role), vg.Point{X: x + swatch/2, Y: y})
		}
		x += swatch + 5
		c.FillText(style, vg.Point{X: x, Y: y}, k.Name)
		x += style.Width(k.Name) + 18
	}
	return y - 14
}

func stroke(r Role) draw.LineStyle {
	return draw.LineStyle{Color: r.color(), Width: vg.Points(1.8), Dashes: r.dashes()}
}

func glyph(r Role) draw.GlyphStyle {
	return draw.GlyphStyle{Color: r.color(), Radius: vg.Points(3.4), Shape: r.glyph()}
}

func words(size font.Length, bold bool, ink color.Color) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = 3 // WeightBold of golang.org/x/image/font
	}
	return text.Style{Color: ink, Font: f, Handler: handler()}
}
