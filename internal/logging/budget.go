package logging

import "time"

// MostBytes is the number of bytes of log lines that are read from one worker per second,
// enough for 100,000 requests.
const MostBytes = 32 << 20

// Budget counts the bytes read from a worker within a second, so that a worker that writes
// without pause takes only a bounded share of the master's time.
type Budget struct {
	begin time.Time
	taken int
}

// Spent reports whether most bytes or more have been taken within the current period, which
// lasts a second, or longer if more than most bytes were taken at once.
func (b *Budget) Spent(most int, now time.Time) bool {
	worth := time.Duration(1+b.taken/most) * time.Second
	if now.Sub(b.begin) >= worth || now.Before(b.begin) {
		*b = Budget{begin: now}
	}
	return b.taken >= most
}

// Take counts bytes that have been read.
func (b *Budget) Take(bytes int) { b.taken += bytes }
