package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

func figures() []Figure {
	levels := []int{1, 8, 64}
	line := Line{Role: First, Points: []Point{{1, 10, 9, 12}, {8, 2000, 1900, 2100}, {64, math.NaN(), 0, 0}}}
	return []Figure{
		Panels(Figure{Name: "one", Title: "One & only", Note: "note", Legend: []Key{{Name: "first"}}},
			Panel{Axes: Axes{X: "x", Y: "y", Levels: levels, Zero: true}, Lines: []Line{line}}),
		Panels(Figure{Name: "two", Title: "Two"},
			Panel{Title: "a", Axes: Axes{X: "x", Y: "y", Levels: levels, LogY: true}, Lines: []Line{line}},
			Panel{Title: "b", Axes: Axes{X: "x", Y: "y", Zero: true}, Lines: []Line{line, {Role: Other}}, Thin: true}),
		Bars(Figure{Name: "bars", Title: "Bars", Legend: []Key{{Name: "block", Role: Second, Block: true}}},
			Group{Title: "g", Bars: []Bar{{Name: "a", Y: 2, Low: 1, High: 3, Label: "2"}, {Name: "b", Role: Other, Y: math.NaN(), Missing: "none"}}}),
	}
}

func TestSVG(t *testing.T) {
	for _, f := range figures() {
		svg, err := f.SVG()
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		}
		if !strings.Contains(string(svg), "Arial") || strings.Contains(string(svg), "NaN") {
			t.Errorf("%s: no second font, or a NaN", f.Name)
		}
		again, _ := f.SVG()
		if !bytes.Equal(svg, again) {
			t.Errorf("%s differs when drawn again", f.Name)
		}
	}
}

func TestPNG(t *testing.T) {
	for _, f := range figures() {
		data, err := f.PNG()
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil || picture.Bounds().Dx() != 1480 {
			t.Errorf("%s: %v, %v", f.Name, picture.Bounds(), err)
		}
	}
}

func TestPlainTicks(t *testing.T) {
	for _, c := range []struct {
		high float64
		want []string
	}{{78_000, []string{"0", "25,000", "50,000", "75,000"}}, {20_000, []string{"0", "10,000", "20,000"}}, {1.2, []string{"0.0", "0.5", "1.0"}}} {
		var got []string
		for _, tick := range plain(0, c.high) {
			if tick.Label != "" {
				got = append(got, tick.Label)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("up to %v: %q, want %q", c.high, got, c.want)
		}
	}
}

func TestThousands(t *testing.T) {
	for _, c := range []struct {
		v        float64
		decimals int
		want     string
	}{{0, 0, "0"}, {999, 0, "999"}, {1000, 0, "1,000"}, {1234567.891, 2, "1,234,567.89"}, {-1234, 0, "-1,234"}, {-0.001, 1, "0.0"}} {
		if got := Thousands(c.v, c.decimals); got != c.want {
			t.Errorf("Thousands(%v, %d) = %s, want %s", c.v, c.decimals, got, c.want)
		}
	}
}
