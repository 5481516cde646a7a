package logging

import (
	"bytes"
	"encoding/json"
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
		end, printable := valueEnd(value)
		if !ok || end == 0 || isReserved(name) {
			return false, false
		}
		p, plain = value[end:], plain && printable
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
	n := 0
	for n+1 < len(p) && (p[n+1] >= 'a' && p[n+1] <= 'z' || p[n+1] >= '0' && p[n+1] <= '9' || p[n+1] == '_') {
		n++
	}
	name = p[1 : n+1]
	rest, ok = bytes.CutPrefix(p[n+1:], []byte(`":`))
	return name, rest, ok && n > 0
}

// valueEnd returns the length of the string, number, true or false at the beginning of p, 0 if
// there is none, and whether it is ASCII.
func valueEnd(p []byte) (end int, plain bool) {
	if len(p) == 0 || p[0] != '"' {
		end = max(0, bytes.IndexAny(p, ",}"))
		if end == 0 || bytes.IndexByte([]byte("-0123456789tf"), p[0]) < 0 || p[end-1] <= ' ' || !json.Valid(p[:end]) {
			return 0, false // also with white space, which json.Valid accepts at either end
		}
		return end, true
	}
	plain = true
	escapes := false
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case c == '"':
			if escapes && !json.Valid(p[:i+1]) {
				return 0, false
			}
			return i + 1, plain
		case c < 0x20:
			return 0, false
		case c >= 0x7f:
			plain = false
		case c == '\\':
			escapes = true
			i++ // perhaps a quote
		}
	}
	return 0, false
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
