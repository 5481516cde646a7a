package rules

import (
	"bytes"

	"phalanx/internal/proto"
)

// About is the kind of a response, which decides which fields apply to it.
type About uint8

// The kinds of responses.
const (
	File      About = iota // a file or a part of it
	Parts                  // several parts of a file: multipart/byteranges
	Unchanged              // 304
	Other                  // an error or a directory listing
)

// ofContent are fields that describe the content of a file.
var ofContent = names("Content-Type Content-Language Content-Disposition")

// ofFile are further fields about a file. Neither they nor those of [ForCDNs] apply to errors,
// which must not be cached like files.
var ofFile = names("Content-Location Cache-Control Expires Pragma Link")

// fits reports whether a field applies to a response.
func (a About) fits(o *op) bool {
	switch a {
	case File:
		return true
	case Parts, Unchanged:
		return !ofContent[o.lower]
	}
	return !ofContent[o.lower] && !ofFile[o.lower] && !o.forCDNs
}

// ForCDNs reports whether a field overrides Cache-Control for some shared caches (RFC 9213
// and its forerunners).
func ForCDNs(name []byte) bool {
	const targeted = "-cache-control"
	return len(name) > len(targeted) && proto.EqualFold(name[len(name)-len(targeted):], targeted) ||
		proto.EqualFold(name, "surrogate-control") || proto.EqualFold(name, "edge-control") || proto.EqualFold(name, "x-accel-expires")
}

// Amend applies the fields that [Set.Fields] has found to the response head out[from:], in the
// order of the rules. A field of a rule replaces the server's own. Values from several rules
// are joined to a list, except Set-Cookie (RFC 9110 §5.3).
func (m *Match) Amend(out []byte, from int, about About) []byte {
	const empty = "\r\n"
	out = out[:len(out)-len(empty)]
	from += bytes.IndexByte(out[from:], '\n') + 1 // after the status line
	own := len(out)
	for i := range m.fields {
		f := &m.fields[i]
		f.applied = about.fits(f.op)
		switch {
		case !f.applied:
		case f.remove:
			own = f.drop(&out, from, own)
		default:
			if at := find(out[own:], f.lower); at >= 0 && f.lower != "set-cookie" {
				out = f.join(out, own+at)
				continue
			}
			if f.lower != "vary" { // it is added to the server's
				own = f.dropOwn(&out, from, own)
			}
			out = append(append(out, f.name...), ": "...)
			out = append(f.append(out), "\r\n"...)
		}
	}
	m.added = bytes.Count(out[own:], []byte("\n"))
	return append(out, empty...)
}

// ContentType returns the media type that [Match.Amend] gives a file whose own type this is; nil: none.
// It is for the parts of a file, whose types are not in the head. The next Amend is unaffected.
func (m *Match) ContentType(own []byte) []byte {
	const name = "Content-Type: "
	head := append(append([]byte("\r\n"+name), own...), "\r\n\r\n"...) // instead of a status line, an empty one
	head = m.Amend(head, 0, File)
	at := find(head, "content-type")
	if at < 0 {
		return nil
	}
	value, _, _ := bytes.Cut(head[at+len(name):], []byte("\r"))
	return value
}

// drop deletes all lines of the field, and returns the new offset of the rules' lines.
func (f *field) drop(out *[]byte, from, own int) int {
	own = f.dropOwn(out, from, own)
	for at := find((*out)[own:], f.lower); at >= 0; at = find((*out)[own:], f.lower) {
		*out = cutLine(*out, own+at)
	}
	return own
}

// dropOwn deletes the server's lines of the field. With Cache-Control it deletes Expires,
// which could contradict it (RFC 9111 §5.3).
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

// find returns the offset of the line of a field, -1 if there is none.
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

// cutLine deletes the line at an offset.
func cutLine(out []byte, at int) []byte {
	end := at + bytes.IndexByte(out[at:], '\n') + 1
	return append(out[:at], out[end:]...)
}

// join appends the value to the line at an offset.
func (f *field) join(out []byte, at int) []byte {
	end := at + bytes.IndexByte(out[at:], '\r')
	n := len(out)
	out = append(out, ", "...)
	out = f.append(out)
	added := len(out) - n
	out = append(out, out[end:n]...) // the rest of the head
	copy(out[end:], out[n:])
	return out[:n+added]
}

// append appends the value.
func (f *field) append(dst []byte) []byte { return appendParts(dst, f.value, f.args) }
