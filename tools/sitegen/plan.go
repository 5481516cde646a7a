package main

import (
	"bytes"

	"github.com/HugoSmits86/nativewebp"
)

// The plan: the formation seen from above, with its front at the top. Each file
// of soldiers stands for a slot. In one file the first soldier has fallen, and
// those behind him move one place forward.

const (
	planW, planH = 1200, 800
	planFiles    = 11
	planRanks    = 5
	planStep     = 96
	planGap      = 7 // the file whose first man has fallen

	planGround = 0xe9eae6
	planInk    = 0x23272c
	planRed    = 0x9c1c33
)

func plan() ([]byte, error) {
	c := newCanvas(planW, planH)
	all := place{sub, 0, 0}
	c.fill(rect(0, 0, planW, planH), all, flat(rgb(planGround)))
	for i := 0; i < planW; i += planStep / 2 {
		c.fill(rect(i+24, 0, 1, planH), all, flat(rgb(0xdcdedb)))
		c.fill(rect(0, i+40, planW, 1), all, flat(rgb(0xdcdedb)))
	}
	for file := range planFiles {
		for rank := range planRanks {
			x, y := 120+file*planStep, 258+rank*planStep
			if file == planGap {
				c.advancing(x, y, rank)
				continue
			}
			c.man(x, y, planInk, rank == 0)
		}
	}
	var b bytes.Buffer
	if err := nativewebp.Encode(&b, c.RGBA, nil); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// advancing paints one soldier of the file whose first has fallen. The second is
// almost halfway to his place; the others follow.
func (c canvas) advancing(x, y, rank int) {
	switch rank {
	case 0:
		c.fallen(x, y)
	case 1:
		for i := range 2 {
			p := place{sub, x * sub, (y + 16 + i*13) * sub}
			c.fill("M-14 0 L0 -12 L14 0 L14 6 L0 -6 L-14 6 Z", p, flat(rgb(planRed)))
		}
		c.man(x, y-planStep*5/12, planRed, false)
	default:
		c.man(x, y-planStep/8, planInk, false)
	}
}

// man paints a soldier from above, reduced to his shield, and in the first rank
// his spear.
func (c canvas) man(x, y int, colour uint32, front bool) {
	p := place{sub, x * sub, y * sub}
	ink := flat(rgb(colour))
	c.fill(circle(0, 0, 38)+" "+circle(0, 0, 32), p, ink)
	c.fill(circle(0, 0, 28), p, ink)
	if front {
		c.fill(rect(-2, -112, 4, 76), p, ink)
		c.fill("M0 -150 C8 -134 8 -122 4 -108 L-4 -108 C-8 -122 -8 -134 0 -150 Z", p, ink)
	}
}

// fallen marks the empty place with a broken ring and the two halves of a spear.
func (c canvas) fallen(x, y int) {
	p := place{sub, x * sub, y * sub}
	red, ground := flat(rgb(planRed)), flat(rgb(planGround))
	c.fill(circle(0, 0, 38)+" "+circle(0, 0, 35), p, red)
	for _, cut := range []string{rect(-7, -40, 14, 80), rect(-40, -7, 80, 14)} {
		c.fill(cut, p, ground)
	}
	c.fill("M-30 -58 L8 -76 L10 -72 L-28 -54 Z", p, red)
	c.fill("M22 -84 L4 -118 L8 -120 L26 -86 Z M8 -114 C-4 -124 -8 -134 -8 -152 C6 -142 14 -134 15 -118 Z", p, red)
}
