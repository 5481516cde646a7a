package logging

import "time"

// MostBytes is how many bytes of lines are taken from one worker within a second: those of
// 100,000 requests.
const MostBytes = 32 << 20

// Budget counts what was taken from a worker within a second, so that one that writes
// without pause costs the master no more than a bounded share of its time.
type Budget struct {
	begin time.Time
	taken int
}

// Spent reports whether a second's bytes have been taken, or those of as many seconds as
// what was taken is worth.
func (b *Budget) Spent(most int, now time.Time) bool {
	worth := time.Duration(1+b.taken/most) * time.Second
	if now.Sub(b.begin) >= worth || now.Before(b.begin) {
		*b = Budget{begin: now}
	}
	return b.taken >= most
}

// Take adds what was taken.
func (b *Budget) Take(bytes int) { b.taken += bytes }
