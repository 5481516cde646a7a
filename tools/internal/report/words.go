package report

import (
	"fmt"
	"math"
	"strings"

	"phalanx/tools/internal/chart"
)

func whole(v float64) string { return chart.Thousands(v, 0) }

// digits formats a number with at least three significant digits.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case v == 0:
		return "0"
	case a < 0.0995:
		return fmt.Sprintf("%.3f", v)
	case a < 9.95:
		return fmt.Sprintf("%.2f", v)
	case a < 99.5:
		return fmt.Sprintf("%.1f", v)
	}
	return whole(v)
}

func micro(v float64) string     { return digits(v * 1e6) }
func milli(v float64) string     { return digits(v * 1e3) }
func megabytes(v float64) string { return digits(v / 1e6) }
func kilobytes(v float64) string { return digits(v / 1e3) }

// span formats a time in seconds with a suitable unit.
func span(seconds float64) string {
	switch {
	case math.IsNaN(seconds):
		return "–"
	case seconds < 1e-3:
		return micro(seconds) + " µs"
	case seconds < 1:
		return milli(seconds) + " ms"
	}
	return digits(seconds) + " s"
}

// same is the relative difference below which two numbers count as equal: the
// noise of the runs is greater.
const same = 0.03

// against compares two numbers in words, such as "12 % more than".
func against(a, b float64, more, less string) string {
	ratio := a / b
	switch {
	case math.IsNaN(ratio) || math.IsInf(ratio, 0):
		return "not comparable with"
	case math.Abs(ratio-1) <= same:
		return fmt.Sprintf("within %.0f %% of", same*100)
	case ratio >= 2:
		return fmt.Sprintf("%s times that of", digits(ratio))
	case ratio > 1:
		return fmt.Sprintf("%.0f %% %s than", (ratio-1)*100, more)
	}
	return fmt.Sprintf("%.0f %% %s than", (1-ratio)*100, less)
}

// join joins the parts of a sentence with commas and "and".
func join(parts []string) string {
	switch n := len(parts); n {
	case 0:
		return ""
	case 1:
		return parts[0]
	default:
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return whole(float64(n)) + " " + one + "s"
}
