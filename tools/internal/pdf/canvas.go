package pdf

import (
	"image"
	"image/color"
	"math"

	"codeberg.org/go-pdf/fpdf"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// canvas draws figures as vectors on the page, in points from its lower left corner,
// as in PDF itself.
type canvas struct {
	*fpdf.Fpdf
	width, height vg.Length
}

// at converts a point to the coordinates of fpdf: mm from the upper left corner.
func (c canvas) at(p vg.Point) (x, y float64) {
	_, height := c.GetPageSize()
	k := c.GetConversionRatio()
	return p.X.Points() / k, height - p.Y.Points()/k
}

func (c canvas) mm(l vg.Length) float64 { return l.Points() / c.GetConversionRatio() }

// Size implements [vg.CanvasSizer], as do the methods below.
func (c canvas) Size() (width, height vg.Length) { return c.width, c.height }

func (c canvas) SetLineWidth(w vg.Length) { c.Fpdf.SetLineWidth(c.mm(w)) }

func (c canvas) SetLineDash(pattern []vg.Length, offset vg.Length) {
	dashes := make([]float64, 0, len(pattern))
	for _, l := range pattern {
		dashes = append(dashes, c.mm(l))
	}
	c.SetDashPattern(dashes, c.mm(offset))
}

// SetColor sets the colour of lines, areas and text. A translucent colour is mixed with
// the white of the paper.
func (c canvas) SetColor(ink color.Color) {
	if ink == nil {
		ink = color.Black
	}
	r, g, b, a := ink.RGBA() // premultiplied by a
	mix := func(v uint32) int { return int((v + 0xffff - a) >> 8) }
	c.SetDrawColor(mix(r), mix(g), mix(b))
	c.SetFillColor(mix(r), mix(g), mix(b))
	c.SetTextColor(mix(r), mix(g), mix(b))
}

func (c canvas) Rotate(rad float64) {
	sin, cos := math.Sincos(rad)
	c.Transform(fpdf.TransformMatrix{A: cos, B: sin, C: -sin, D: cos})
}

func (c canvas) Translate(p vg.Point) {
	c.Transform(fpdf.TransformMatrix{A: 1, D: 1, E: p.X.Points(), F: p.Y.Points()})
}

func (c canvas) Scale(x, y float64) { c.Transform(fpdf.TransformMatrix{A: x, D: y}) }
func (c canvas) Push()              { c.TransformBegin() }
func (c canvas) Pop()               { c.TransformEnd() }

func (c canvas) Fill(p vg.Path) { c.draw(p, "F") }

// Stroke draws nothing if the line width is 0, which in PDF means the thinnest line.
func (c canvas) Stroke(p vg.Path) {
	if c.GetLineWidth() > 0 {
		c.draw(p, "D")
	}
}

func (c canvas) draw(p vg.Path, how string) {
	for _, part := range p {
		x, y := c.at(part.Pos)
		switch part.Type {
		case vg.MoveComp:
			c.MoveTo(x, y)
		case vg.LineComp:
			c.LineTo(x, y)
		case vg.ArcComp:
			c.arc(part)
		case vg.CurveComp:
			x0, y0 := c.at(part.Control[0])
			x1, y1 := c.at(part.Control[len(part.Control)-1])
			c.CurveBezierCubicTo(x0, y0, x1, y1, x, y)
		case vg.CloseComp:
			c.ClosePath()
		}
	}
	c.DrawPath(how)
}

// arc draws an arc as Bézier curves of at most a quarter of a circle.
func (c canvas) arc(part vg.PathComp) {
	n := int(math.Ceil(math.Abs(part.Angle) / (math.Pi / 2)))
	step := part.Angle / float64(max(n, 1))
	// The distance of the control points along the tangents.
	reach := 4.0 / 3 * math.Tan(step/4) * part.Radius.Points()
	on := func(angle, along float64) (x, y float64) {
		sin, cos := math.Sincos(angle)
		r := part.Radius.Points()
		return c.at(vg.Point{X: part.Pos.X + vg.Length(r*cos-along*sin), Y: part.Pos.Y + vg.Length(r*sin+along*cos)})
	}
	x, y := on(part.Start, 0)
	c.LineTo(x, y)
	for i := range n {
		from := part.Start + float64(i)*step
		x0, y0 := on(from, reach)
		x1, y1 := on(from+step, -reach)
		x, y := on(from+step, 0)
		c.CurveBezierCubicTo(x0, y0, x1, y1, x, y)
	}
}

func (c canvas) FillString(f font.Face, p vg.Point, text string) {
	style := ""
	if f.Font.Weight > 0 {
		style = "B"
	}
	c.SetFont(fontName, style, f.Font.Size.Points())
	x, y := c.at(p)
	c.Text(x, y, text)
}

// DrawImage does nothing: no figure contains an image.
func (c canvas) DrawImage(vg.Rectangle, image.Image) {}
