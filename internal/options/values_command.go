package options

import (
	"strconv"
	"time"
)

// Bounds of the refresh interval of top.
const (
	MinInterval = 100 * time.Millisecond
	MaxInterval = time.Minute
)

// The types of the commands' values.
type (
	// Interval is a refresh interval.
	Interval time.Duration
	// scaled is a number of workers, at least one.
	scaled int
)

func (i *Interval) UnmarshalFlag(v string) error {
	return duration(i, "interval", v, "must be 100ms to 1m, such as 2s", between(MinInterval, MaxInterval))
}

func (s *scaled) UnmarshalFlag(v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	switch {
	case err == nil && n == 0:
		return invalid("", v, "must be 1 to 1024; the command stop ends the server")
	case err != nil || n > MaxWorkers:
		return invalid("", v, "must be the number of workers, 1 to 1024")
	}
	*s = scaled(n)
	return nil
}
