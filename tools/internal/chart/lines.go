package chart

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// handler lays out plain text in the fonts that are part of the library.
func handler() text.Handler {
	return text.Plain{Fonts: font.NewCache(liberation.Collection())}
}

// Point is a median with the lowest and the highest value.
type Point struct{ X, Y, Low, High float64 }

// Line is a series of points.
type Line struct {
	Role   Role
	Points []Point
}

// Axes describes the axes of a plot.
type Axes struct {
	X, Y   string
	Levels []int                  // values of X, on a logarithmic axis to base 2; empty for a linear axis
	Mark   func(level int) string // label of a level; nil for its number
	LogY   bool
	Zero   bool // Y begins at 0
}

// Panel is one plot of a figure.
type Panel struct {
	Title string
	Axes  Axes
	Lines []Line
	Thin  bool // many lines: without markers and error bars
}

// Panels returns a figure with plots side by side.
func Panels(f Figure, panels ...Panel) Figure {
	f.width, f.height = 7.4*vg.Inch, 3.9*vg.Inch
	if len(panels) > 1 {
		f.height = 3.5 * vg.Inch
	}
	f.body = func(c draw.Canvas) error {
		tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: 12}
		row := make([]*plot.Plot, 0, len(panels))
		for _, p := range panels {
			drawn, err := p.plot()
			if err != nil {
				return fmt.Errorf("figure %s: %w", f.Name, err)
			}
			row = append(row, drawn)
		}
		inner := c
		if panels[0].Title != "" {
			inner = draw.Crop(c, 0, 0, 0, -18)
		}
		for i, area := range plot.Align([][]*plot.Plot{row}, tiles, inner)[0] {
			row[i].Draw(area)
			title := words(10.5, true, color.Gray{0x30})
			title.XAlign, title.YAlign = draw.XCenter, draw.YTop
			c.FillText(title, vg.Point{X: (area.Min.X + area.Max.X) / 2, Y: c.Max.Y - 3}, panels[i].Title)
		}
		return nil
	}
	return f
}

func (p Panel) plot() (*plot.Plot, error) {
	drawn := plot.New()
	styleAxes(drawn, p.Axes)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal = draw.LineStyle{Color: color.Gray{0xDD}, Width: vg.Points(0.6)}
	drawn.Add(grid)
	for _, l := range p.Lines {
		if err := p.add(drawn, l); err != nil {
			return nil, err
		}
	}
	p.frame(drawn)
	return drawn, nil
}

// add draws one line without the points that have no value, or none that a
// logarithmic axis can show.
func (p Panel) add(drawn *plot.Plot, l Line) error {
	var rows spreads
	for _, at := range l.Points {
		if math.IsNaN(at.Y) || p.Axes.LogY && at.Low <= 0 {
			continue
		}
		rows.XYs = append(rows.XYs, plotter.XY{X: p.Axes.x(at.X), Y: p.Axes.y(at.Y)})
		low, high := p.Axes.y(at.Y)-p.Axes.y(at.Low), p.Axes.y(at.High)-p.Axes.y(at.Y)
		rows.YErrors = append(rows.YErrors, struct{ Low, High float64 }{low, high})
	}
	if len(rows.XYs) == 0 {
		return nil
	}
	line, marks, err := plotter.NewLinePoints(rows.XYs)
	if err != nil {
		return err
	}
	line.LineStyle, marks.GlyphStyle = stroke(l.Role), glyph(l.Role)
	if p.Thin {
		line.Width, line.Dashes = vg.Points(0.9), nil
		drawn.Add(line)
		return nil
	}
	drawn.Add(line, marks)
	return p.spread(drawn, l.Role, rows)
}

// spread draws error bars from the lowest to the highest value where they differ.
func (p Panel) spread(drawn *plot.Plot, r Role, all spreads) error {
	var rows spreads
	for i, e := range all.YErrors {
		if e.Low > 0 || e.High > 0 {
			rows.XYs = append(rows.XYs, all.XYs[i])
			rows.YErrors = append(rows.YErrors, e)
		}
	}
	if len(rows.XYs) == 0 {
		return nil
	}
	bars, err := plotter.NewYErrorBars(rows)
	if err != nil {
		return err
	}
	bars.LineStyle = draw.LineStyle{Color: r.color(), Width: vg.Points(1)}
	drawn.Add(bars)
	return nil
}

type spreads struct {
	plotter.XYs
	plotter.YErrors
}

func (a Axes) x(v float64) float64 {
	if len(a.Levels) > 0 {
		return math.Log2(v)
	}
	return v
}

func (a Axes) y(v float64) float64 {
	if a.LogY {
		return math.Log10(v)
	}
	return v
}

// frame sets the limits and ticks of the axes.
func (p Panel) frame(drawn *plot.Plot) {
	if len(p.Axes.Levels) > 0 {
		var ticks plot.ConstantTicks
		for _, l := range p.Axes.Levels {
			label := Thousands(float64(l), 0)
			if p.Axes.Mark != nil {
				label = p.Axes.Mark(l)
			}
			ticks = append(ticks, plot.Tick{Value: math.Log2(float64(l)), Label: label})
		}
		drawn.X.Tick.Marker = ticks
		drawn.X.Min, drawn.X.Max = ticks[0].Value-0.15, ticks[len(ticks)-1].Value+0.15
	}
	switch {
	case p.Axes.LogY:
		drawn.Y.Min, drawn.Y.Max = math.Floor(drawn.Y.Min), math.Ceil(drawn.Y.Max+1e-9)
		drawn.Y.Tick.Marker = plot.TickerFunc(decades)
	case p.Axes.Zero:
		drawn.Y.Min = 0
		drawn.Y.Max = math.Max(drawn.Y.Max*1.05, 1e-9)
		drawn.Y.Tick.Marker = plot.TickerFunc(plain)
	}
}

// decades returns labelled ticks at the powers of ten, and unlabelled ones at 2
// to 9 times each. low and high are logarithms to base 10.
func decades(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Floor(low); e <= high; e++ {
		label := strconv.FormatFloat(math.Pow(10, e), 'f', int(math.Max(0, -e)), 64)
		if e >= 0 {
			label = Thousands(math.Pow(10, e), 0)
		}
		ticks = append(ticks, plot.Tick{Value: e, Label: label})
		for m := 2.0; m < 10; m++ {
			if v := e + math.Log10(m); v <= high {
				ticks = append(ticks, plot.Tick{Value: v})
			}
		}
	}
	return ticks
}

// plain returns the library's default ticks with thousands grouped, and without
// decimals if all labels are whole numbers.
func plain(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	round := !slices.ContainsFunc(ticks, func(t plot.Tick) bool { return t.Label != "" && t.Value != math.Trunc(t.Value) })
	for i, t := range ticks {
		if t.Label != "" {
			whole, fraction, _ := strings.Cut(t.Label, ".")
			if round {
				fraction, ticks[i].Label = "", whole
			}
			if v, err := strconv.ParseFloat(whole, 64); err == nil && math.Abs(v) >= 1000 {
				ticks[i].Label = strings.TrimSuffix(Thousands(v, 0)+"."+fraction, ".")
			}
		}
	}
	return ticks
}

func styleAxes(drawn *plot.Plot, a Axes) {
	drawn.BackgroundColor = color.White
	drawn.X.Label.Text, drawn.Y.Label.Text = a.X, a.Y
	for _, axis := range []*plot.Axis{&drawn.X, &drawn.Y} {
		grey := color.Gray{0x77}
		axis.LineStyle = draw.LineStyle{Color: grey, Width: vg.Points(0.7)}
		axis.Tick.LineStyle = axis.LineStyle
		axis.Tick.Length = vg.Points(4)
		label := words(9.5, false, color.Gray{0x20})
		label.XAlign, label.YAlign, label.Rotation = axis.Tick.Label.XAlign, axis.Tick.Label.YAlign, axis.Tick.Label.Rotation
		axis.Tick.Label = label
		name := words(10, false, color.Gray{0x20})
		name.XAlign, name.YAlign, name.Rotation = axis.Label.TextStyle.XAlign, axis.Label.TextStyle.YAlign, axis.Label.TextStyle.Rotation
		axis.Label.TextStyle = name
		axis.Label.Padding = 3
	}
}

// Thousands formats a number with the given number of decimals and with commas
// between thousands.
func Thousands(v float64, decimals int) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
	whole, fraction, dotted := strings.Cut(digits, ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if dotted {
		whole += "." + fraction
	}
	if v < 0 && strings.ContainsAny(whole, "123456789") {
		return "-" + whole
	}
	return whole
}
