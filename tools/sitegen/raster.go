package main

import (
	"fmt"
	"image"
	"image/color"
	"slices"
	"strconv"
	"strings"
)

// The rasteriser computes with integers, in subpixels, 256 to a pixel. Processors
// may fuse floating-point operations differently, and the pictures must not
// depend on where they were drawn.
const sub = 256

type point struct{ x, y int }

// A place positions a drawing on the canvas: scale is the number of subpixels in
// one unit of the drawing, x and y are its origin in subpixels.
type place struct{ scale, x, y int }

func (p place) at(x, y int) point { return point{x*p.scale + p.x, y*p.scale + p.y} }

// moved returns p with its origin shifted by units of the drawing.
func (p place) moved(dx, dy int) place {
	return place{p.scale, p.x + dx*p.scale, p.y + dy*p.scale}
}

type canvas struct{ *image.RGBA }

func newCanvas(w, h int) canvas { return canvas{image.NewRGBA(image.Rect(0, 0, w, h))} }

// A paint returns the opaque colour of a pixel.
type paint func(x, y int) color.RGBA

func flat(c color.RGBA) paint { return func(int, int) color.RGBA { return c } }

func rgb(v uint32) color.RGBA {
	return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255}
}

// mix blends a with b, whose share is n/total.
func mix(a, b color.RGBA, n, total int) color.RGBA {
	n = min(max(n, 0), total)
	part := func(a, b uint8) uint8 { return uint8((int(a)*(total-n) + int(b)*n) / total) }
	return color.RGBA{part(a.R, b.R), part(a.G, b.G), part(a.B, b.B), part(a.A, b.A)}
}

// outline reads SVG path data made of absolute M, L, C and Z with whole
// numbers, and returns its polygons. The paths are constants of this program,
// so a mistake in one is a panic.
func outline(data string, p place) [][]point {
	var polys [][]point
	var cur []point
	fields := strings.Fields(strings.ReplaceAll(data, ",", " "))
	number := func(i int) int {
		n, err := strconv.Atoi(strings.TrimLeft(fields[i], "MLC"))
		if err != nil {
			panic(fmt.Sprintf("path %q: %v", data, err))
		}
		return n
	}
	pair := func(i int) point { return p.at(number(i), number(i+1)) }
	for i := 0; i < len(fields); {
		switch fields[i][0] {
		case 'M':
			cur = []point{pair(i)}
			i += 2
		case 'L':
			cur = append(cur, pair(i))
			i += 2
		case 'C':
			cur = cubic(cur, pair(i), pair(i+2), pair(i+4))
			i += 6
		case 'Z':
			polys = append(polys, cur)
			i++
		default:
			panic(fmt.Sprintf("path %q: unexpected %q", data, fields[i]))
		}
	}
	return polys
}

// cubic appends a Bézier curve from the last point of poly, in 16 steps.
func cubic(poly []point, b, c, d point) []point {
	a := poly[len(poly)-1]
	for t := 1; t <= 16; t++ {
		s := 16 - t
		at := func(a, b, c, d int) int {
			return (s*s*s*a + 3*s*s*t*b + 3*s*t*t*c + t*t*t*d) >> 12
		}
		poly = append(poly, point{at(a.x, b.x, c.x, d.x), at(a.y, b.y, c.y, d.y)})
	}
	return poly
}

// circle returns path data for a circle: four curves, with handles of 0.5523
// times the radius.
func circle(x, y, r int) string {
	k := r * 5523 / 10000
	return fmt.Sprintf("M%d %d C%d %d %d %d %d %d C%d %d %d %d %d %d C%d %d %d %d %d %d C%d %d %d %d %d %d Z",
		x, y-r, x+k, y-r, x+r, y-k, x+r, y,
		x+r, y+k, x+k, y+r, x, y+r,
		x-k, y+r, x-r, y+k, x-r, y,
		x-r, y-k, x-k, y-r, x, y-r)
}

func rect(x, y, w, h int) string {
	return fmt.Sprintf("M%d %d L%d %d L%d %d L%d %d Z", x, y, x+w, y, x+w, y+h, x, y+h)
}

// fill paints the inside of a path by the even-odd rule, with eight scan
// lines to a pixel and exact coverage along each.
func (c canvas) fill(data string, p place, paint paint) {
	const lines = 8
	polys := outline(data, p)
	bounds := c.Bounds()
	top, bottom := extent(polys)
	cover := make([]int, bounds.Dx())
	for y := max(top/sub, 0); y <= min(bottom/sub, bounds.Dy()-1); y++ {
		clear(cover)
		for l := range lines {
			xs := crossings(polys, y*sub+sub/lines*l+sub/lines/2)
			for i := 0; i+1 < len(xs); i += 2 {
				span(cover, xs[i], xs[i+1])
			}
		}
		for x, n := range cover {
			if n > 0 {
				c.SetRGBA(x, y, mix(c.RGBAAt(x, y), paint(x, y), n, lines*sub))
			}
		}
	}
}

func extent(polys [][]point) (top, bottom int) {
	top, bottom = polys[0][0].y, polys[0][0].y
	for _, poly := range polys {
		for _, pt := range poly {
			top, bottom = min(top, pt.y), max(bottom, pt.y)
		}
	}
	return top, bottom
}

// crossings returns where the edges meet the horizontal line at y, in order.
func crossings(polys [][]point, y int) []int {
	var xs []int
	for _, poly := range polys {
		a := poly[len(poly)-1]
		for _, b := range poly {
			if (a.y <= y) != (b.y <= y) {
				xs = append(xs, a.x+(b.x-a.x)*(y-a.y)/(b.y-a.y))
			}
			a = b
		}
	}
	slices.Sort(xs)
	return xs
}

// span adds to cover how much of each pixel the stretch from a to b, in
// subpixels, covers.
func span(cover []int, a, b int) {
	a, b = max(a, 0), min(b, len(cover)*sub)
	for a < b {
		end := min((a/sub+1)*sub, b)
		cover[a/sub] += end - a
		a = end
	}
}
