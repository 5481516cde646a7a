package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const units = "kMGTPE" // powers of 1000

// number formats a number in at most cells cells, which must be four or more: with up to
// the given decimals, or with a unit if it is too long. A negative number is "-".
func number(v float64, cells, decimals int) string {
	if math.IsNaN(v) || v < 0 {
		return "-"
	}
	for d := decimals; d >= 0; d-- {
		if s := strconv.FormatFloat(v, 'f', d, 64); len(s) <= cells && (d == 0 || v < 100) {
			return s
		}
	}
	return scaled(v)
}

// scaled formats a number of a thousand or more with a unit, in at most four cells.
func scaled(v float64) string {
	for _, unit := range units {
		v /= 1000
		for d := 1; d >= 0; d-- {
			if s := strconv.FormatFloat(v, 'f', d, 64); len(s) < 4 && v < 999.5 {
				return s + string(unit)
			}
		}
	}
	return "many"
}

// rate formats requests per second in at most five cells.
func rate(v float64) string {
	if v > 0 && v < 9.95 {
		return number(v, 5, 1)
	}
	return number(v, 5, 0)
}

// count formats a whole number in at most four cells.
func count(v int) string { return number(float64(v), 4, 0) }

// size formats bytes in at most four cells: "999", "1.2k", "34M".
func size(v int64) string {
	if v < 1000 {
		return number(float64(v), 4, 0)
	}
	return scaled(float64(v))
}

// megabytes formats bytes per second as MB/s in at most four cells.
func megabytes(v float64) string {
	if v == 0 {
		return "0"
	}
	return number(v/1e6, 4, 2)
}

// latency formats seconds in at most five cells; 0 is "-".
func latency(v float64) string {
	switch {
	case !(v > 0):
		return "-"
	case v < 0.9995e-3:
		return fmt.Sprintf("%.0fµs", math.Max(1, v*1e6))
	case v < 9.95e-3:
		return fmt.Sprintf("%.1fms", v*1e3)
	case v < 0.9995:
		return fmt.Sprintf("%.0fms", v*1e3)
	}
	return age(v)
}

// age formats seconds in at most five cells: "1.2s", "59s", "4m07s", "3h07m", "3d04h".
func age(v float64) string {
	if math.IsNaN(v) || v < 0 {
		v = 0
	}
	const hour, day = 60 * minute, 24 * 60 * minute
	switch s := int64(math.Min(v, 9999*day)); {
	case v < 9.95:
		return fmt.Sprintf("%.1fs", v)
	case v < minute-0.5:
		return fmt.Sprintf("%.0fs", v)
	case s < minute:
		return "1m00s"
	case s < 10*minute:
		return fmt.Sprintf("%dm%02ds", s/minute, s%minute)
	case s < hour:
		return fmt.Sprintf("%dm", s/minute)
	case s < 10*hour:
		return fmt.Sprintf("%dh%02dm", s/hour, s%hour/minute)
	case s < day:
		return fmt.Sprintf("%dh", s/hour)
	case s < 10*day:
		return fmt.Sprintf("%dd%02dh", s/day, s%day/hour)
	default:
		return fmt.Sprintf("%dd", s/day)
	}
}

// uptime formats seconds in their largest unit, in at most four cells.
func uptime(seconds float64) string {
	s := age(seconds)
	if i := strings.IndexAny(s, "dhm"); i >= 0 {
		return s[:i+1]
	}
	return strings.TrimSuffix(s[:strings.IndexAny(s+".", ".s")], "s") + "s"
}
