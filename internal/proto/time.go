package proto

import "time"

// Time is a file system's timestamp. Nanoseconds since 1970 in one int64 would end in 2262;
// XFS counts to 2486, ext4 to 2446, btrfs and tmpfs have an int64 of seconds.
type Time struct {
	Sec  int64 // since 1970; negative before that
	Nsec int64 // 0 to 999,999,999
}

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool {
	return t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec
}

// Times before 1990 are older than the first website and were set by tools: 0 (OSTree, image
// layers), 1 (Nix, Guix), 315532800 (the earliest of ZIP), 318211200 (Gradle), 499162500
// (npm).
const (
	firstSite = 631152000 // 1990-01-01
	bazel     = 946684800 // 2000-01-01, of Bazel's packages
)

// Set reports whether a tool has set the time to a constant, for reproducible builds. Two
// versions of such a file have the same time, and may have the same size.
func (t Time) Set() bool {
	return t.Sec < firstSite || t == Time{Sec: bazel}
}

// The first and last second with a four-digit year, as dates of HTTP (RFC 9110 §5.6.7) and RFC
// 3339 have, in seconds since 1970.
const (
	minDate = -62167219200 // 0000-01-01 00:00:00
	maxDate = 253402300799 // 9999-12-31 23:59:59
)

// AppendFormat appends the time in UTC in a layout of package time, or nothing if the year
// does not have four digits.
func (t Time) AppendFormat(dst []byte, layout string) []byte {
	if t.Sec < minDate || t.Sec > maxDate {
		return dst
	}
	return time.Unix(t.Sec, t.Nsec).UTC().AppendFormat(dst, layout)
}
