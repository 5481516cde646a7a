package admin

import (
	"math"
	"strconv"
)

// This file says how numbers look on the page. The script has the same rules
// (status.js, formats).

// none stands for what there is not.
const none = "–"

// count writes a whole number in groups of three digits.
func count(n float64) string {
	text := fixed(n, 0)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// rate writes how many a second; less than ten with a decimal.
func rate(n float64) string {
	if n > 0 && n < 10 {
		return fixed(n, 1)
	}
	return count(n)
}

// size writes bytes with three significant digits and a decimal unit, as top
// does.
func size(n float64) string {
	unit := 0
	for ; n >= 999.5 && unit < len("kMGTPE"); unit++ {
		n /= 1000
	}
	if unit == 0 {
		return count(n) + " B"
	}
	return digits3(n) + " " + "kMGTPE"[unit-1:unit] + "B"
}

// seconds writes a short time with three significant digits.
func seconds(s float64) string {
	switch {
	case s <= 0:
		return none
	case s < 0.0009995:
		return digits3(s*1e6) + " µs"
	case s < 0.9995:
		return digits3(s*1e3) + " ms"
	case s < 120:
		return digits3(s) + " s"
	default:
		return age(s)
	}
}

func digits3(n float64) string {
	switch {
	case n < 9.995:
		return fixed(n, 2)
	case n < 99.95:
		return fixed(n, 1)
	default:
		return fixed(n, 0)
	}
}

// fixed rounds halves up: strconv and Number.toFixed differ in that.
func fixed(n float64, digits int) string {
	scale := math.Pow10(digits)
	return strconv.FormatFloat(math.Floor(n*scale+0.5)/scale, 'f', digits, 64)
}

// age writes a long time in its two largest units.
func age(s float64) string {
	n := int64(max(s, 0))
	part := func(n int64, unit string) string { return strconv.FormatInt(n, 10) + " " + unit }
	switch {
	case n < 60:
		return part(n, "s")
	case n < 3600:
		return part(n/60, "min") + " " + part(n%60, "s")
	case n < 24*3600:
		return part(n/3600, "h") + " " + part(n/60%60, "min")
	default:
		return part(n/3600/24, "d") + " " + part(n/3600%24, "h")
	}
}

func percent(share float64) string { return count(share*100) + " %" }
