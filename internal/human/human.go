// Package human formats numbers and untrusted text for people. The script of the status
// page (status.js) follows the same rules.
package human

import (
	"errors"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Number is the constraint of the numbers that are formatted.
type Number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// Cause returns the system's part of an error, without operation and file.
func Cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// None stands for a missing value.
const None = "–"

// Count writes a whole number in groups of three digits: "1,234,567".
func Count[T Number](n T) string {
	text := Fixed(float64(n), 0)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Rate writes a number per second, with one decimal if it is less than ten.
func Rate(n float64) string {
	if n > 0 && n < 10 {
		return Fixed(n, 1)
	}
	return Count(n)
}

// Bytes writes a number of bytes with three significant digits and a decimal
// unit: "999 B", "1.23 GB"; [None] if it is negative.
func Bytes[T Number](n T) string {
	const units = "kMGTPE"
	v := float64(n)
	switch {
	case !(v >= 0):
		return None
	case v < 999.5:
		return Fixed(v, 0) + " B"
	}
	i := -1
	for ; v >= 999.5 && i < len(units)-1; i++ {
		v /= 1000
	}
	return digits3(min(v, 999)) + " " + units[i:i+1] + "B"
}

// Seconds writes a duration in seconds with three significant digits, and from two
// minutes as [Age]; [None] if it is zero or negative.
func Seconds(s float64) string {
	switch {
	case s <= 0:
		return None
	case s < 0.0009995:
		return digits3(s*1e6) + " µs"
	case s < 0.9995:
		return digits3(s*1e3) + " ms"
	case s < 120:
		return digits3(s) + " s"
	default:
		return Age(s)
	}
}

// Age writes a duration in seconds in its two largest units, of days, hours, minutes and
// seconds.
func Age(s float64) string {
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

// Duration formats a duration as in options, without units that are zero: 12h, not 12h0m0s.
func Duration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if rest, ok := strings.CutSuffix(text, zero); ok && rest != "" && !strings.ContainsAny(rest[len(rest)-1:], "0123456789.") {
			text = rest
		}
	}
	return text
}

// Percent writes a share of 1 as a percentage.
func Percent(share float64) string { return Count(share*100) + " %" }

// Plural writes a number and what it counts: "1 connection", "2 entries".
func Plural[T Number](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

func digits3(n float64) string {
	switch {
	case n < 9.995:
		return Fixed(n, 2)
	case n < 99.95:
		return Fixed(n, 1)
	default:
		return Fixed(n, 0)
	}
}

// Fixed writes a number with the given decimals and rounds halves up, in which strconv
// and Number.toFixed differ.
func Fixed(n float64, digits int) string {
	scale := math.Pow10(digits)
	return strconv.FormatFloat(math.Floor(n*scale+0.5)/scale, 'f', digits, 64)
}
