// Package stats has the statistics of the reports as pure functions. No
// function modifies its argument; without values each returns NaN.
package stats

import (
	"math"
	"slices"
)

// Median returns the middle value, or the mean of the two middle ones.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Quantile returns the q-quantile, q from 0 to 1. It interpolates linearly
// between the closest ranks, as R's type 7.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// Spread is a median with the lowest and the highest value around it.
type Spread struct{ Low, Mid, High float64 }

// Of returns the spread of values.
func Of(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	return Spread{Low: slices.Min(values), Mid: Median(values), High: slices.Max(values)}
}

// Jain returns Jain's fairness index (Jain, Chiu, Hawe 1984): 1 if all values
// are equal, 1/n if all but one are 0.
func Jain(values []float64) float64 {
	var sum, squares float64
	for _, v := range values {
		sum += v
		squares += v * v
	}
	if squares == 0 {
		return math.NaN()
	}
	return sum * sum / (float64(len(values)) * squares)
}

// Uneven returns the greatest value divided by the mean: 1 if all are equal.
func Uneven(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	if sum == 0 {
		return math.NaN()
	}
	return slices.Max(values) * float64(len(values)) / sum
}
