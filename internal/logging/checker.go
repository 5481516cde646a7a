package logging

import (
	"bytes"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// checker checks the log lines of one worker, which may be compromised.
type checker struct {
	begins [][]byte // beginnings of valid lines, by level
}

// newChecker returns the checker of a worker that logs events up to a verbosity, or only
// warnings and errors if that is 0.
func newChecker(slot, pid, verbose int) checker {
	levels := []zerolog.Level{zerolog.WarnLevel, zerolog.ErrorLevel, zerolog.InfoLevel, zerolog.DebugLevel, zerolog.TraceLevel}
	var g checker
	for _, l := range levels[:min(2+max(verbose, 0), len(levels))] {
		b := `{"level":"` + l.String() + `","slot":` + strconv.Itoa(slot) + `,"pid":` + strconv.Itoa(pid)
		g.begins = append(g.begins, []byte(b))
	}
	return g
}

// valid reports whether a line, without its newline, is an event of this worker as [New]
// writes it: one flat JSON object with its slot and pid, given once. If plain is false, it
// has characters beyond ASCII, which may have to be escaped.
func (g checker) valid(line []byte) (ok, plain bool) {
	for _, begin := range g.begins {
		if rest, found := bytes.CutPrefix(line, begin); found {
			return members(rest)
		}
	}
	return false, false
}

// members scans the other members of an object, up to its end.
func members(p []byte) (ok, plain bool) {
	plain = true
	for len(p) > 1 && p[0] == ',' {
		name, value, ok := memberName(p[1:])
		if !ok {
			return false, false
		}
		switch n := len(value); {
		case n == 0:
			return false, false
		case value[0] == '"':
			end, printable := stringEnd(value)
			if end == 0 {
				return false, false
			}
			p, plain = value[end:], plain && printable
		default:
			if p = value[literal(value):]; len(p) == n {
				return false, false
			}
		}
		if isReserved(name) {
			return false, false
		}
	}
	return string(p) == "}", plain
}

// isReserved reports whether a name is one of the first members, which must not be repeated.
func isReserved(name []byte) bool {
	switch string(name) {
	case "level", "slot", "pid":
		return true
	}
	return false
}

// memberName scans a member's name, of lower-case letters, digits and underscores, and the
// colon after it.
func memberName(p []byte) (name, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != '"' {
		return nil, nil, false
	}
	for i, c := range p[1:] {
		if c == '"' {
			name, rest = p[1:i+1], p[i+2:]
			ok = i > 0 && len(rest) > 0 && rest[0] == ':'
			break
		}
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			break
		}
	}
	if !ok {
		return nil, nil, false
	}
	return name, rest[1:], true
}

// stringEnd returns the length of the JSON string at the beginning of p, 0 if it is invalid,
// and whether it is ASCII.
func stringEnd(p []byte) (end int, plain bool) {
	plain = true
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case c == '"':
			return i + 1, plain
		case c < 0x20:
			return 0, false
		case c >= 0x7f:
			plain = false
		case c == '\\':
			n := escape(p[i+1:])
			if n == 0 {
				return 0, false
			}
			i += n
		}
	}
	return 0, false
}

// escape returns the length of an escape sequence without its backslash, 0 if it is invalid.
func escape(p []byte) int {
	switch {
	case len(p) == 0:
		return 0
	case p[0] != 'u':
		if bytes.IndexByte([]byte(`"\/bfnrt`), p[0]) < 0 {
			return 0
		}
		return 1
	case len(p) < 5:
		return 0
	}
	for _, c := range p[1:5] {
		if bytes.IndexByte([]byte("0123456789abcdefABCDEF"), c) < 0 {
			return 0
		}
	}
	return 5
}

// literal returns the length of the number, true or false at the beginning of p, 0 if there
// is none.
func literal(p []byte) int {
	for _, word := range []string{"true", "false"} {
		if bytes.HasPrefix(p, []byte(word)) {
			return len(word)
		}
	}
	digits := func(i int) int {
		for i < len(p) && p[i] >= '0' && p[i] <= '9' {
			i++
		}
		return i
	}
	begin := 0
	if p[0] == '-' {
		begin = 1
	}
	n := digits(begin)
	if n == begin || p[begin] == '0' && n > begin+1 {
		return 0
	}
	if n < len(p) && p[n] == '.' {
		if end := digits(n + 1); end > n+1 {
			n = end
		}
	}
	if n < len(p) && p[n] == 'e' {
		exponent := n + 1
		if exponent < len(p) && (p[exponent] == '-' || p[exponent] == '+') {
			exponent++
		}
		if end := digits(exponent); end > exponent {
			n = end
		}
	}
	return n
}

// appendPlain appends a valid line and escapes what is not printable, as [AppendJSON] does:
// control characters, those that change the direction of text, and bytes that are not
// UTF-8.
func appendPlain(dst, line []byte) []byte {
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			dst, size = appendRune(dst, line)
		} else {
			dst = append(dst, line[:size]...)
		}
		line = line[size:]
	}
	return dst
}

// appendInvalid appends an event about invalid lines, which quotes the beginning of the
// first.
func (g checker) appendInvalid(dst, first []byte, lines int, now time.Time) []byte {
	const quoted = 300
	dst = append(append(dst, g.begins[0]...), `,"lines":`...)
	dst = append(strconv.AppendInt(dst, int64(lines), 10), `,"begin":`...)
	dst = append(AppendJSON(dst, first, quoted), `,"time":`...)
	return append(appendTime(dst, now), `,"message":"worker wrote invalid log lines"}`...)
}
