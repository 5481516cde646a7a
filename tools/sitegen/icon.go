package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/png"
)

// The icon is a shield, seen from the front, on a transparent background: a rim,
// a crimson field and the lambda.
const (
	iconRim    = 0x1b1e22
	iconBand   = 0xf3f2ec
	iconField  = 0x9c1c33
	iconDevice = 0xf3f2ec
)

// icon draws the shield in a square of side pixels, which is 240 units wide.
func icon(side int) canvas {
	c := newCanvas(side, side)
	p := place{side * sub / 240, side * sub / 2, side * sub / 2}
	c.fill(circle(0, 0, 118), p, flat(rgb(iconRim)))
	c.fill(circle(0, 0, 106), p, flat(rgb(iconBand)))
	c.fill(circle(0, 0, 96), p, flat(rgb(iconField)))
	p.scale = p.scale * 5 / 4
	c.fill(blazons()[0].path, p, flat(rgb(iconDevice)))
	return c
}

func iconPNG(side int) func() ([]byte, error) {
	return func() ([]byte, error) { return encodePNG(icon(side)) }
}

func encodePNG(c canvas) ([]byte, error) {
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(&b, c.RGBA); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// favicon packs three sizes into one ICO file, each as a PNG: a header of 6
// bytes, an entry of 16 bytes for each picture, then the pictures.
func favicon() ([]byte, error) {
	sides := []int{16, 32, 48}
	head := binary.LittleEndian.AppendUint16(nil, 0)
	head = binary.LittleEndian.AppendUint16(head, 1) // 1 is an icon, 2 a cursor
	head = binary.LittleEndian.AppendUint16(head, uint16(len(sides)))
	var body []byte
	for _, side := range sides {
		data, err := encodePNG(icon(side))
		if err != nil {
			return nil, err
		}
		head = append(head, byte(side), byte(side), 0, 0)
		head = binary.LittleEndian.AppendUint16(head, 1)  // colour planes
		head = binary.LittleEndian.AppendUint16(head, 32) // bits of a pixel
		head = binary.LittleEndian.AppendUint32(head, uint32(len(data)))
		head = binary.LittleEndian.AppendUint32(head, uint32(6+16*len(sides)+len(body)))
		body = append(body, data...)
	}
	return append(head, body...), nil
}

func faviconSVG() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="-120 -120 240 240">` + "\n")
	for _, ring := range []struct{ r, fill int }{{118, iconRim}, {106, iconBand}, {96, iconField}} {
		fmt.Fprintf(&b, `<circle r="%d" fill="#%06x"/>`+"\n", ring.r, ring.fill)
	}
	fmt.Fprintf(&b, `<path transform="scale(1.25)" d="%s" fill="#%06x"/>`+"\n</svg>\n", blazons()[0].path, iconDevice)
	return b.Bytes(), nil
}
