package chart

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Bar is one bar with an error bar from Low to High.
type Bar struct {
	Name           string
	Role           Role
	Y, Low, High   float64 // Y is NaN if there is no value
	Label, Missing string  // text after the bar; Missing is shown instead of one
}

// Group is a column of bars with a heading.
type Group struct {
	Title string
	Bars  []Bar
}

// Bars returns a figure with columns of horizontal bars. Each column has its
// own scale; all have the same rows.
func Bars(f Figure, groups ...Group) Figure {
	const row = vg.Length(19)
	f.width = 7.4 * vg.Inch
	f.height = vg.Length(len(groups[0].Bars))*row + 1.05*vg.Inch
	f.body = func(c draw.Canvas) error {
		var widest vg.Length
		for _, b := range groups[0].Bars {
			widest = max(widest, name(b).Width(b.Name))
		}
		begin := c.Min.X + margin/2 // aligned with the title
		left := begin + spare*widest + 6
		each := (c.Max.X - left) / vg.Length(len(groups))
		for i, g := range groups {
			area := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
				Min: vg.Point{X: left + vg.Length(i)*each, Y: c.Min.Y},
				Max: vg.Point{X: left + vg.Length(i+1)*each - 14, Y: c.Max.Y},
			}}
			g.draw(area, row)
			if i > 0 {
				continue
			}
			for k, b := range g.Bars {
				c.FillText(name(b), vg.Point{X: begin, Y: middle(area, k, row)}, b.Name)
			}
		}
		return nil
	}
	return f
}

// spare is the factor by which names may be wider when an SVG is viewed with another
// font. Names are aligned left and have this space, so that none overlaps its bar.
const spare = 1.2

func name(b Bar) text.Style {
	style := words(9.5, b.Role != Other, color.Gray{0x10})
	style.YAlign = draw.YCenter
	return style
}

const heading = vg.Length(20)

func middle(c draw.Canvas, k int, row vg.Length) vg.Length {
	return c.Max.Y - heading - (vg.Length(k)+0.5)*row
}

func (g Group) draw(c draw.Canvas, row vg.Length) {
	title := words(10, true, color.Gray{0x30})
	title.YAlign = draw.YTop
	c.FillText(title, vg.Point{X: c.Min.X, Y: c.Max.Y}, g.Title)
	small := words(9, false, color.Gray{0x20})
	small.YAlign = draw.YCenter
	most, label := 0.0, vg.Length(0)
	for _, b := range g.Bars {
		if !math.IsNaN(b.Y) {
			most = math.Max(most, b.High)
			label = max(label, small.Width(b.Label))
		}
	}
	scale := (c.Max.X - c.Min.X - label - 6) / vg.Length(math.Max(most, 1e-12))
	for k, b := range g.Bars {
		y := middle(c, k, row)
		if math.IsNaN(b.Y) {
			c.FillText(small, vg.Point{X: c.Min.X + 3, Y: y}, b.Missing)
			continue
		}
		b.draw(c, y, row, scale)
		c.FillText(small, vg.Point{X: c.Min.X + vg.Length(b.High)*scale + 5, Y: y}, b.Label)
	}
	bottom := middle(c, len(g.Bars)-1, row) - row/2
	c.StrokeLine2(draw.LineStyle{Color: color.Gray{0x77}, Width: 0.7}, c.Min.X, c.Max.Y-heading, c.Min.X, bottom)
}

func (b Bar) draw(c draw.Canvas, y, row, scale vg.Length) {
	half := row * 0.34
	at := func(v float64) vg.Length { return c.Min.X + vg.Length(v)*scale }
	c.FillPolygon(b.Role.color(), []vg.Point{
		{X: c.Min.X, Y: y - half}, {X: at(b.Y), Y: y - half}, {X: at(b.Y), Y: y + half}, {X: c.Min.X, Y: y + half},
	})
	if b.High <= b.Low {
		return
	}
	ink := draw.LineStyle{Color: color.Gray{0x10}, Width: 0.9}
	c.StrokeLine2(ink, at(b.Low), y, at(b.High), y)
	for _, end := range []float64{b.Low, b.High} {
		c.StrokeLine2(ink, at(end), y-2.5, at(end), y+2.5)
	}
}
