package proto

import "time"

// Time is a moment as file systems keep it. Nanoseconds since 1970 in one int64
// would end in 2262; XFS counts to 2486, ext4 to 2446, and btrfs and tmpfs as
// far as an int64 of seconds.
type Time struct {
	Sec  int64 // since 1970; negative before that
	Nsec int64 // after that second, 0 to 999,999,999
}

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool {
	return t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec
}

// Bounds of what a calendar with four digits for the year can say, in seconds
// since 1970: the dates of HTTP (RFC 9110 §5.6.7) and of RFC 3339 are such.
const (
	minDate = -62167219200 // 0000-01-01 00:00:00
	maxDate = 253402300799 // 9999-12-31 23:59:59
)

// AppendFormat appends the time in UTC in a layout of package time, or nothing
// if its year has not four digits.
func (t Time) AppendFormat(dst []byte, layout string) []byte {
	if t.Sec < minDate || t.Sec > maxDate {
		return dst
	}
	return time.Unix(t.Sec, t.Nsec).UTC().AppendFormat(dst, layout)
}
