package main

import (
	"bytes"
	"fmt"
	"image/color"
)

// The arms of one soldier, who stands in a box of 200 by 300 units, with the
// centre of his shield at (100, 200). The pictures and the SVG sprite are both
// drawn from these paths.
const (
	crestPath  = "M46 74 C36 22 66 -8 100 -8 C134 -8 164 22 154 74 L143 74 C143 42 126 24 100 24 C74 24 57 42 57 74 Z"
	helmetPath = "M100 22 C70 22 55 46 56 78 L60 124 C70 136 84 142 94 144 L106 144 C116 142 130 136 140 124 L144 78 C145 46 130 22 100 22 Z"
	facePath   = "M67 80 C75 69 90 72 96 83 L98 106 L102 106 L104 83 C110 72 125 69 133 80 C126 90 113 93 107 93 L107 146 L93 146 L93 93 C87 93 74 90 67 80 Z"
	browPath   = "M62 66 C76 56 92 60 100 70 C108 60 124 56 138 66 L138 70 C124 62 110 66 100 77 C90 66 76 62 62 70 Z"
	shaftPath  = "M181 -40 L187 -40 L187 330 L181 330 Z"
	bladePath  = "M184 -92 C193 -76 193 -58 188 -38 L180 -38 C175 -58 175 -76 184 -92 Z"
)

const (
	shieldX, shieldY = 100, 200
	shieldR, fieldR  = 94, 76
)

// A blazon is the device on a shield, in a box of 120 units around its centre.
type blazon struct{ name, path string }

func blazons() []blazon {
	return []blazon{
		{"lambda", "M-9 -52 L9 -52 L48 50 L24 50 L0 -14 L-24 50 L-48 50 Z"},
		{"star", "M0 -58 L8 -19 L41 -41 L19 -8 L58 0 L19 8 L41 41 L8 19 L0 58 L-8 19 L-41 41 L-19 8 L-58 0 L-19 -8 L-41 -41 L-8 -19 Z"},
		{"bull", "M-52 -42 C-46 -22 -32 -16 -18 -20 C-8 -24 8 -24 18 -20 C32 -16 46 -22 52 -42 C62 -14 44 2 24 4 L15 44 C8 54 -8 54 -15 44 L-24 4 C-44 2 -62 -14 -52 -42 Z"},
		{"ring", circle(0, 0, 54) + " " + circle(0, 0, 40) + " " + circle(0, 0, 24)},
		{"crescent", "M-20 -52 C22 -52 54 -24 54 8 C54 34 36 52 12 54 C28 46 36 32 36 16 C36 -12 12 -30 -20 -30 C-34 -30 -44 -26 -52 -18 C-46 -38 -36 -52 -20 -52 Z " + circle(-14, 18, 16)},
		{"eyes", "M-60 -2 C-46 -30 -18 -30 -4 -2 C-18 20 -46 20 -60 -2 Z " + circle(-32, -4, 12) + " M60 -2 C46 -30 18 -30 4 -2 C18 20 46 20 60 -2 Z " + circle(32, -4, 12) + " M-8 18 L8 18 L0 46 Z"},
	}
}

// A dress is the set of colours of one soldier.
type dress struct{ metal, dark, crest, field, device, shaft color.RGBA }

func (c canvas) helmet(p place, d dress) {
	c.fill(crestPath, p, flat(d.crest))
	c.fill(helmetPath, p, flat(d.metal))
	c.fill(browPath, p, flat(d.dark))
	c.fill(facePath, p, flat(d.dark))
}

func (c canvas) spear(p place, d dress) {
	c.fill(shaftPath, p, flat(d.shaft))
	c.fill(bladePath, p, flat(d.metal))
}

func (c canvas) shield(p place, d dress, b blazon) {
	p = p.moved(shieldX, shieldY)
	c.fill(circle(0, 0, shieldR+3), p, flat(d.dark))
	c.fill(circle(0, 0, shieldR), p, flat(d.metal))
	c.fill(circle(0, 0, fieldR+4), p, flat(d.dark))
	c.fill(circle(0, 0, fieldR), p, flat(d.field))
	c.fill(b.path, p, flat(d.device))
}

// arms returns the same drawings as symbols of an SVG, which pages include with
// <use>. The page sets the colours as custom properties.
func arms() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg">` + "\n")
	fmt.Fprintf(&b, `<symbol id="spear" viewBox="0 -100 200 410">`+"\n")
	for _, path := range []string{shaftPath, bladePath} {
		shape(&b, path, "--metal")
	}
	fmt.Fprintf(&b, "</symbol>\n"+`<symbol id="helmet" viewBox="0 -100 200 410">`+"\n")
	shape(&b, crestPath, "--crest")
	shape(&b, helmetPath, "--metal")
	shape(&b, browPath, "--ground")
	shape(&b, facePath, "--ground")
	b.WriteString("</symbol>\n")
	for _, z := range blazons() {
		fmt.Fprintf(&b, `<symbol id="%s" viewBox="0 -100 200 410">`+"\n", z.name)
		for _, ring := range []struct {
			r    int
			fill string
		}{{shieldR + 4, "--ground"}, {shieldR, "--metal"}, {fieldR + 4, "--ground"}, {fieldR, "--field"}} {
			fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="%d" style="fill:var(%s)"/>`+"\n", shieldX, shieldY, ring.r, ring.fill)
		}
		fmt.Fprintf(&b, `<path transform="translate(%d %d)" d="%s" fill-rule="evenodd" style="fill:var(--device)"/>`+"\n</symbol>\n",
			shieldX, shieldY, z.path)
	}
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

func shape(b *bytes.Buffer, path, fill string) {
	fmt.Fprintf(b, `<path d="%s" style="fill:var(%s)"/>`+"\n", path, fill)
}
