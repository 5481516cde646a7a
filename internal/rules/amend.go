package rules

import (
	"bytes"

	"phalanx/internal/proto"
)

// About says what a response is about.
type About uint8

// What a response may be about.
const (
	File      About = iota // the file, or a part of it
	Parts                  // several parts of it: the content is of another type
	Unchanged              // the file, which the client has (304)
	Other                  // an error or a list: nothing that a field about a file fits
)

// ofContent are the fields that describe the content of a file.
var ofContent = names("Content-Type Content-Language Content-Disposition")

// ofFile are those that are about the file besides: an error must not be cached like one.
var ofFile = names("Content-Location Cache-Control Expires CDN-Cache-Control Surrogate-Control Pragma Link")

// fits reports whether a field belongs into a response.
func (a About) fits(lower string) bool {
	switch a {
	case File:
		return true
	case Parts, Unchanged:
		return !ofContent[lower]
	}
	return !ofContent[lower] && !ofFile[lower]
}

// Amend applies what [Set.Fields] found to the response head that begins at from and ends
// the bytes, in the order in which it was written. A field of a rule takes the place of
// the server's own; rules that give the same field are joined to a list, as each
// Set-Cookie is not (RFC 9110 §5.3).
func (m *Match) Amend(out []byte, from int, about About) []byte {
	const empty = "\r\n"
	out = out[:len(out)-len(empty)]
	from += bytes.IndexByte(out[from:], '\n') + 1 // behind the status line
	own := len(out)
	for i := range m.fields {
		f := &m.fields[i]
		f.applied = about.fits(f.lower)
		switch {
		case !f.applied:
		case f.remove:
			own = f.drop(&out, from, own)
		default:
			if at := find(out[own:], f.lower); at >= 0 && f.lower != "set-cookie" {
				out = f.join(out, own+at)
				continue
			}
			if f.lower != "vary" { // that is added to the server's
				own = f.dropOwn(&out, from, own)
			}
			out = append(append(out, f.name...), ": "...)
			out = append(f.append(out), "\r\n"...)
		}
	}
	m.added = bytes.Count(out[own:], []byte("\n"))
	return append(out, empty...)
}

// drop deletes all lines of the field, and returns where the rules' begin then.
func (f *field) drop(out *[]byte, from, own int) int {
	own = f.dropOwn(out, from, own)
	for at := find((*out)[own:], f.lower); at >= 0; at = find((*out)[own:], f.lower) {
		*out = cutLine(*out, own+at)
	}
	return own
}

// dropOwn deletes the server's lines of the field. Expires goes with Cache-Control: one
// could contradict the other (RFC 9111 §5.3).
func (f *field) dropOwn(out *[]byte, from, own int) int {
	name := f.lower
	for {
		at := find((*out)[from:own], name)
		switch {
		case at >= 0:
			n := len(*out)
			*out = cutLine(*out, from+at)
			own -= n - len(*out)
		case name == "cache-control":
			name = "expires"
		default:
			return own
		}
	}
}

// find returns where the line of a field begins in whole lines, -1 if there is none.
func find(lines []byte, lower string) int {
	for at := 0; at < len(lines); {
		line := lines[at:]
		if len(line) > len(lower) && line[len(lower)] == ':' && proto.EqualFold(line[:len(lower)], lower) {
			return at
		}
		at += bytes.IndexByte(line, '\n') + 1
	}
	return -1
}

// cutLine deletes the line that begins at an offset.
func cutLine(out []byte, at int) []byte {
	end := at + bytes.IndexByte(out[at:], '\n') + 1
	return append(out[:at], out[end:]...)
}

// join appends the value to the line that begins at an offset.
func (f *field) join(out []byte, at int) []byte {
	end := at + bytes.IndexByte(out[at:], '\r')
	n := len(out)
	out = append(out, ", "...)
	out = f.append(out)
	added := len(out) - n
	out = append(out, out[end:n]...) // the tail, behind the value
	copy(out[end:], out[n:])
	return out[:n+added]
}

// append appends the value.
func (f *field) append(dst []byte) []byte { return appendParts(dst, f.value, f.args) }
