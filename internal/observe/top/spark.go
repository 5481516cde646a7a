package top

import "strings"

// spark draws the latest values as bars of block elements (U+2581 to U+2588), one per
// cell, aligned to the right. The largest value is as high as all lines; zero is the
// lowest bar, and any other value is higher than that.
func spark(values []float64, cells, lines int) []string {
	if cells <= 0 || lines <= 0 {
		return nil
	}
	if len(values) > cells {
		values = values[len(values)-cells:]
	}
	most := largest(values)
	out := make([]string, lines)
	for i := range out {
		var b strings.Builder
		b.WriteString(strings.Repeat(" ", cells-len(values)))
		under := 8 * (lines - 1 - i) // eighths below this line
		for _, v := range values {
			b.WriteRune(eighths(level(v, most, 8*lines) - under))
		}
		out[i] = b.String()
	}
	return out
}

// level returns the height of a bar, from 1 to full.
func level(v, most float64, full int) int {
	if !(v > 0) || !(most > 0) {
		return 1
	}
	return max(2, int(v/most*float64(full)+0.5))
}

func eighths(n int) rune {
	if n <= 0 {
		return ' '
	}
	return '▁' + rune(min(n, 8)-1)
}

func largest(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		if v > most {
			most = v
		}
	}
	return most
}

// bar draws a share between 0 and 1 in cells; only 1 fills them all.
func bar(share float64, cells int) string {
	if !(share > 0) {
		share = 0
	}
	full := int(min(share, 1) * float64(cells))
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full)
}
