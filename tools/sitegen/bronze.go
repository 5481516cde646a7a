package main

import (
	"bytes"
	"image/color"
	"image/jpeg"
)

// The bronze shield. On turned metal the brightness of a point depends on its
// direction from the centre.

const (
	bronzeSide   = 1000
	bronzeCentre = bronzeSide / 2
)

func bronze() ([]byte, error) {
	c := newCanvas(bronzeSide, bronzeSide)
	all := place{sub, 0, 0}
	middle := place{sub, bronzeCentre * sub, bronzeCentre * sub}
	c.fill(rect(0, 0, bronzeSide, bronzeSide), all, cloth)
	for i := range 12 { // a soft shadow, in thin layers
		c.veil(circle(16+i, 26+i, 448-2*i), middle, rgb(0x07080a), 26)
	}
	c.fill(circle(0, 0, 436), middle, metal(40, 0))
	c.fill(circle(0, 0, 429), middle, metal(-6, 0))
	c.groove(middle, 352)
	c.studs(middle)
	c.fill(circle(0, 0, 348), middle, metal(0, 1))
	for _, r := range []int{330, 322, 88, 80} {
		c.groove(middle, r)
	}
	c.inlay(place{sub * 4, middle.x, middle.y}, blazons()[0].path)
	var b bytes.Buffer
	err := jpeg.Encode(&b, c.RGBA, &jpeg.Options{Quality: 86})
	return b.Bytes(), err
}

// cloth is crimson wool in dim light, with a weave of two pixels.
func cloth(x, y int) color.RGBA {
	light := 300 - (x+2*y)/6 + noise(x, y, 7)/6
	light += ((x+y)&2)*6 - 6 + int(hash(x, y)%14)
	return mix(rgb(0x10090b), rgb(0x6d1526), light, 340)
}

// metal returns the paint of a turned disc. Two lobes of light cross at the
// centre; lift is added to the brightness; patina is the strength of verdigris.
func metal(lift, patina int) paint {
	return func(x, y int) color.RGBA {
		dx, dy := x-bronzeCentre, y-bronzeCentre
		r := max(sqrt(dx*dx+dy*dy), 1)
		glow := lobe(dx, dy, r, 724, 724, 3) + lobe(dx, dy, r, 980, -297, 5)/2
		value := 330 + lift*4 + glow*6/10 - (dx+dy)/5
		value += int(hash(r, 1)%60) - 30 // tool marks
		value += noise(x, y, 4)/8 - 16
		c := ramp(value)
		wx, wy := x+noise(x, y+77, 5)/5, y+noise(x+77, y, 5)/5 // distorted, to hide the cells of the noise
		green := noise(wx+900, wy, 6) + noise(wx, wy+500, 4)/3 + noise(wx, wy, 2)/5 - 250 + r/6
		return mix(c, rgb(0x5d9180), patina*green, 360)
	}
}

// lobe returns the light from the direction (lx, ly), whose length is 1024: the
// square of the cosine, made narrower by squaring it sharp-2 times.
func lobe(dx, dy, r, lx, ly, sharp int) int {
	cos := (dx*lx + dy*ly) / r
	v := cos * cos >> 10
	for range sharp - 2 {
		v = v * v >> 10
	}
	return v
}

// ramp returns the colour of bronze for a brightness from 0 to 1023.
func ramp(v int) color.RGBA {
	stops := []color.RGBA{rgb(0x1d120c), rgb(0x6b4420), rgb(0xb27f3f), rgb(0xe3bd78), rgb(0xfff3cf)}
	v = min(max(v, 0), 1023)
	return mix(stops[v>>8], stops[min(v>>8+1, 4)], v&255, 256)
}

// groove cuts a ring: a dark line, and light caught by its lower edge.
func (c canvas) groove(p place, r int) {
	ring := func(r int) string { return circle(0, 0, r) + " " + circle(0, 0, r-3) }
	c.veil(ring(r), p, rgb(0x140b06), 200)
	c.veil(ring(r-3), p, rgb(0xfff0c4), 90)
}

// studs sets 40 nails around the rim, nine degrees apart. The components of the
// direction are in units of 1/2^20.
func (c canvas) studs(middle place) {
	const cos9, sin9 = 1035666, 164033
	x, y := 0, -1<<20
	for range 40 {
		p := place{sub, middle.x + x*390>>12, middle.y + y*390>>12}
		c.veil(circle(4, 5, 19), p, rgb(0x120a05), 150)
		c.fill(circle(0, 0, 17), p, stud(p))
		x, y = (x*cos9-y*sin9)>>20, (x*sin9+y*cos9)>>20
	}
}

func stud(p place) paint {
	return func(x, y int) color.RGBA {
		dx, dy := x-p.x/sub+6, y-p.y/sub+7
		return ramp(900 - (dx*dx+dy*dy)*5/3)
	}
}

// inlay sets the device into the metal: a lit lower edge, a dark upper one,
// and between them enamel that takes a little of the light.
func (c canvas) inlay(p place, path string) {
	c.veil(path, place{p.scale, p.x + 4*sub, p.y + 5*sub}, rgb(0xffe9b5), 170)
	c.veil(path, place{p.scale, p.x - 3*sub, p.y - 4*sub}, rgb(0x120805), 210)
	c.fill(path, p, func(x, y int) color.RGBA {
		shine := lobe(x-bronzeCentre, y-bronzeCentre, max(sqrt(square(x-bronzeCentre)+square(y-bronzeCentre)), 1), 724, 724, 3)
		return mix(rgb(0x5f0f20), rgb(0xd2465a), shine/2+noise(x, y, 5)/4+40, 900)
	})
}

// veil fills a path with a colour of opacity n/256.
func (c canvas) veil(path string, p place, over color.RGBA, n int) {
	c.fill(path, p, func(x, y int) color.RGBA { return mix(c.RGBAAt(x, y), over, n, 256) })
}

// noise returns smooth noise from 0 to 255 with cells of 2^bits pixels.
func noise(x, y, bits int) int {
	side := 1 << bits
	cx, cy := x>>bits, y>>bits
	fx, fy := ease(x&(side-1), bits), ease(y&(side-1), bits)
	corner := func(dx, dy int) int { return int(hash(cx+dx, cy+dy) & 255) }
	top := corner(0, 0)*(256-fx) + corner(1, 0)*fx
	bottom := corner(0, 1)*(256-fx) + corner(1, 1)*fx
	return (top*(256-fy) + bottom*fy) >> 16
}

// ease maps 0 … 2^bits to 0 … 256 along 3t²-2t³.
func ease(v, bits int) int {
	t := v << 8 >> bits
	return t * t * (3*256 - 2*t) >> 16
}

func hash(x, y int) uint32 {
	h := uint32(x)*0x9e3779b1 ^ uint32(y)*0x85ebca77
	h = (h ^ h>>15) * 0x2c1b3c6d
	h = (h ^ h>>12) * 0x297a2d39
	return h ^ h>>15
}

func square(v int) int { return v * v }

// sqrt returns the integer part of the square root of v, by Newton's method.
func sqrt(v int) int {
	if v < 2 {
		return v
	}
	r := v
	for next := (r + 1) / 2; next < r; next = (r + v/r) / 2 {
		r = next
	}
	return r
}
