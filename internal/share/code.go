package share

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quiet is the width of the quiet zone, the empty border, in modules (ISO/IEC 18004 §6.3.8).
const quiet = 4

// code returns the QR code of a text as lines for a terminal, with two rows of modules in each,
// and their width in columns. With colour it is black on white. Without, light modules are
// drawn in the terminal's foreground colour: right for a dark background, and scanners read
// inverted codes as well.
func code(text string, coloured bool) (lines []string, width int, err error) {
	img, err := qr.Encode(text, qr.L, qr.Auto)
	if err != nil {
		return nil, 0, fmt.Errorf("QR code for %q: %w", text, err)
	}
	size := img.Bounds().Dx()
	dark := func(x, y int) bool {
		x, y = x-quiet, y-quiet
		return x >= 0 && y >= 0 && x < size && y < size && img.At(x, y) == color.Black
	}
	width = size + 2*quiet
	for y := 0; y < width; y += 2 {
		var b strings.Builder
		for x := range width {
			b.WriteString(block(dark(x, y) == coloured, y+1 < width && dark(x, y+1) == coloured))
		}
		line := b.String()
		if coloured {
			line = "\x1b[30;107m" + line + "\x1b[0m"
		}
		lines = append(lines, line)
	}
	return lines, width, nil
}

// block returns the character with the given halves drawn.
func block(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
