package main

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"slices"
)

// shrink returns a PNG with at most 256 colours. These pictures hardly have more,
// except at the edges of letters.
func shrink(picture []byte) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	from := image.NewNRGBA(decoded.Bounds())
	draw.Draw(from, from.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
	colours := frequent(from)
	to := image.NewPaletted(from.Bounds(), colours)
	nearest := make(map[color.NRGBA]uint8)
	for y := range from.Bounds().Dy() {
		for x := range from.Bounds().Dx() {
			c := from.NRGBAAt(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(colours.Index(c))
				nearest[c] = i
			}
			to.SetColorIndex(x, y, i)
		}
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&b, to)
	return b.Bytes(), err
}

// frequent returns the most frequent colours, and of a group of similar colours
// only the first unless others are frequent too.
func frequent(p *image.NRGBA) color.Palette {
	const most, coarse = 256, 0xf0
	used := make(map[color.NRGBA]int)
	for i := 0; i < len(p.Pix); i += 4 {
		used[color.NRGBA{p.Pix[i], p.Pix[i+1], p.Pix[i+2], p.Pix[i+3]}]++
	}
	all := slices.SortedFunc(maps.Keys(used), func(a, b color.NRGBA) int {
		return cmp.Or(cmp.Compare(used[b], used[a]), cmp.Compare(key(a), key(b)))
	})
	var colours color.Palette
	taken := make(map[color.NRGBA]bool)
	for _, c := range all {
		group := color.NRGBA{c.R & coarse, c.G & coarse, c.B & coarse, c.A & coarse}
		if len(colours) < most && (!taken[group] || used[c] > 200) {
			taken[group] = true
			colours = append(colours, c)
		}
	}
	return colours
}

func key(c color.NRGBA) uint32 {
	return uint32(c.R)<<24 | uint32(c.G)<<16 | uint32(c.B)<<8 | uint32(c.A)
}
