package options

import (
	"strconv"
	"time"

	"github.com/jessevdk/go-flags"
)

// Bounds of the time between two looks of top.
const (
	MinInterval = 100 * time.Millisecond
	MaxInterval = time.Minute
)

// The values of commands.
type (
	// Interval is the time between two looks.
	Interval time.Duration
	// scaled is a number of workers, at least one.
	scaled int
)

// UnmarshalFlag implements [flags.Unmarshaler].
func (i *Interval) UnmarshalFlag(v string) error {
	d, err := duration("interval", v, "must be 100ms to 1m, such as 2s", func(d time.Duration) bool {
		return d >= MinInterval && d <= MaxInterval
	})
	if err == nil {
		*i = Interval(d)
	}
	return err
}

// UnmarshalFlag implements [flags.Unmarshaler].
func (s *scaled) UnmarshalFlag(v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	switch {
	case err == nil && n == 0:
		return wrong(v, "must be 1 to 1024; the command stop ends the server")
	case err != nil || n > MaxWorkers:
		return wrong(v, "must be the number of workers, 1 to 1024")
	}
	*s = scaled(n)
	return nil
}

// wrong makes the error of an argument that belongs to no flag.
func wrong(v, cure string) error {
	return &flags.Error{Type: flags.ErrMarshal, Message: printable(v) + ": " + cure}
}
