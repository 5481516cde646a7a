package proto

import "time"

// DateLen is the length of an IMF-fixdate.
const DateLen = len("Sun, 06 Nov 1994 08:49:37 GMT")

const (
	imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"
	rfc850Date = "Monday, 02-Jan-06 15:04:05 GMT"
	asctime    = "Mon Jan _2 15:04:05 2006"
)

// AppendDate appends a time, in seconds since 1970, as an IMF-fixdate
// (RFC 9110 §5.6.7).
func AppendDate(dst []byte, unix int64) []byte {
	return time.Unix(unix, 0).UTC().AppendFormat(dst, imfFixdate)
}

// ParseDate parses an HTTP-date in any of its three formats (RFC 9110 §5.6.7). unix and now
// are in seconds since 1970. A two-digit year more than 50 years after now is taken to be in
// the past century.
func ParseDate(value []byte, now int64) (unix int64, ok bool) {
	switch {
	case len(value) == DateLen && value[3] == ',':
		return parseDate(imfFixdate, value)
	case len(value) == len(asctime) && value[3] == ' ':
		return parseDate(asctime, value)
	}
	t, err := time.Parse(rfc850Date, string(value))
	if err != nil {
		return 0, false
	}
	year := time.Unix(now, 0).UTC().Year()
	century := year - year%100
	t = t.AddDate(century+t.Year()%100-t.Year(), 0, 0)
	if t.Year() > year+50 {
		t = t.AddDate(-100, 0, 0)
	}
	return t.Unix(), true
}

func parseDate(layout string, value []byte) (int64, bool) {
	t, err := time.Parse(layout, string(value))
	return t.Unix(), err == nil
}
