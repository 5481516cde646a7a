package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"testing"
)

func TestCells(t *testing.T) {
	plain, faint := style{}, style{faint: true}
	tests := []struct {
		text string
		want [][]cell
	}{
		{"ab\n", [][]cell{{{'a', plain}, {'b', plain}}}},
		{"\x1b[2m░\x1b[0m█\n", [][]cell{{{'░', faint}, {'█', plain}}}},
		{"\x1b[1;38;2;1;2;255mx\x1b[22my\x1b[39mz", [][]cell{{{'x', style{fg: "#0102ff", bold: true}}, {'y', style{fg: "#0102ff"}}, {'z', plain}}}},
		{"\x1b[7;48;5;16;31mx\x1b[m\n\n", [][]cell{{{'x', style{fg: basic[1], bg: "#000000", reverse: true}}}, nil}},
		{"\x1b[38;5;255ma\nb", [][]cell{{{'a', style{fg: "#eeeeee"}}}, {{'b', style{fg: "#eeeeee"}}}}},
		{"\x1b[38;5m\x1b[97ma\x1b[100mb", [][]cell{{{'a', style{fg: basic[15]}}, {'b', style{fg: basic[15], bg: basic[8]}}}}},
	}
	for _, tt := range tests {
		if got := cells(tt.text); !slices.EqualFunc(got, tt.want, slices.Equal) {
			t.Errorf("%q: %+v, want %+v", tt.text, got, tt.want)
		}
	}
}

// The output of a program cannot become markup.
func TestPageEscapes(t *testing.T) {
	text := page(cells("<script>&\n"))
	if strings.Contains(text, "<script") || !strings.Contains(text, ">&lt;script&gt;&amp;<") {
		t.Errorf("the page is %s", text)
	}
}

// A picture of many colours keeps its size, and approximately its colours.
func TestShrink(t *testing.T) {
	from := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		from.SetNRGBA(i%64, i/64, color.NRGBA{uint8(i % 64 * 4), uint8(i / 64 * 4), 128, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, from); err != nil {
		t.Fatal(err)
	}
	small, err := shrink(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	to, err := png.Decode(bytes.NewReader(small))
	if err != nil || to.Bounds() != from.Bounds() {
		t.Fatalf("%v, %v", to.Bounds(), err)
	}
	for i := range 64 * 64 {
		r, g, _, _ := to.At(i%64, i/64).RGBA()
		want := from.NRGBAAt(i%64, i/64)
		if max(int(r>>8)-int(want.R), int(want.R)-int(r>>8), int(g>>8)-int(want.G), int(want.G)-int(g>>8)) > 16 {
			t.Fatalf("pixel %d became %d,%d, was %v", i, r>>8, g>>8, want)
		}
	}
}
