package main

// The wall: two ranks seen from the front at dawn. The shields of the first rank
// overlap.

const wallW, wallH = 1440, 810

func wall() ([]byte, error) {
	c := newCanvas(wallW, wallH)
	all := place{sub, 0, 0}
	for i, v := range []uint32{0xf1ece0, 0xeee2d0, 0xead5bd, 0xe4c4a8, 0xdbae93} {
		c.fill(rect(0, i*130, wallW, wallH), all, flat(rgb(v)))
	}
	c.fill(circle(1010, 330, 236), all, flat(rgb(0xe8d0b0)))
	c.fill(circle(1010, 330, 214), all, flat(rgb(0xf5ecd8)))
	hills := "M0 470 C200 400 320 440 500 452 C700 466 800 380 980 396 C1160 412 1240 470 1440 430 L1440 810 L0 810 Z"
	c.fill(hills, all, flat(rgb(0xc39a86)))

	far := dress{metal: rgb(0x5d4039), dark: rgb(0x3a2729), crest: rgb(0x6e2f33), shaft: rgb(0x6b4a41)}
	mid := dress{metal: rgb(0x7a5536), dark: rgb(0x221a1c), crest: rgb(0x7d1b2d), shaft: rgb(0x4a3130)}
	for x := -60; x < wallW; x += 118 {
		p := place{sub * 3 / 4, (x + 20) * sub, 236 * sub}
		c.spear(p, far)
		c.helmet(p, far)
	}
	c.fill(rect(0, 330, wallW, wallH), all, flat(rgb(0x3a2729)))
	for x := -104; x < wallW; x += 158 {
		p := place{sub * 15 / 16, x * sub, 262 * sub}
		c.spear(p, mid)
		c.helmet(p, mid)
	}
	c.fill(rect(0, 430, wallW, wallH), all, flat(rgb(0x1b1517)))
	c.front()
	c.fill(rect(0, 752, wallW, wallH), all, flat(rgb(0x14100f)))
	return encodePNG(c)
}

// front paints the first rank: spears, then helmets, then shields from right
// to left, because each shield covers the neighbour on the left.
func (c canvas) front() {
	d := dress{metal: rgb(0xc99a56), dark: rgb(0x161214), crest: rgb(0xa3203a), field: rgb(0x8c1a30),
		device: rgb(0xf1e6cf), shaft: rgb(0x2b1c19)}
	var places []place
	for x := -60; x < wallW; x += 186 {
		places = append(places, place{sub * 6 / 5, x * sub, 330 * sub})
	}
	for _, p := range places {
		c.spear(p.moved(-8, 0), d)
	}
	for _, p := range places {
		c.helmet(p, d)
	}
	for i, p := range places {
		d.field = rgb(0x8c1a30)
		if i%2 == 1 {
			d.field = rgb(0x1f2a33)
		}
		c.shield(p, d, blazons()[i%len(blazons())])
	}
}
