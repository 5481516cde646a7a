package proto

// Limits of a discarded chunked body (RFC 9112 §7.1 tells recipients to limit extensions and
// trailers).
const (
	maxChunkDigits = 8       // hexadecimal digits of a chunk's size
	maxChunkExtra  = 4 << 10 // bytes of extensions, and of trailers, in all
)

// Discarder parses a chunked body (RFC 9112 §7.1) only to find its end. It is as strict as the
// parser of the head, because each leniency is a way to smuggle requests: a size with a sign
// or white space, a line that ends with LF alone, data of the wrong length. The zero value is
// ready to use.
type Discarder struct {
	left  int64 // bytes of the current chunk's data still to come
	total int64 // bytes of data so far
	extra int32 // bytes of extensions and trailers so far
	digit uint8 // digits of the size so far
	state chunkState
}

type chunkState uint8

const (
	chunkSize     chunkState = iota // in the size's digits
	chunkExt                        // in the extensions
	chunkSizeLF                     // after the CR of the size line
	chunkData                       // in the data
	chunkDataCR                     // after the data
	chunkDataLF                     // after the CR after the data
	trailerStart                    // at the start of a trailer line
	trailerName                     // in a trailer's name
	trailerValue                    // in a trailer's value
	trailerLF                       // after the CR of a trailer line
	trailerLastLF                   // after the CR of the empty line
)

// Discard reads p and returns how many of its bytes belong to the body, and
// whether the body ends there. A malformed body gives 400, one over
// [MaxBody] 413, as the status of the fault, which is zero otherwise.
func (d *Discarder) Discard(p []byte) (n int, done bool, fault Fault) {
	for n < len(p) {
		if d.state == chunkData {
			skip := min(int64(len(p)-n), d.left)
			d.left -= skip
			n += int(skip)
			if d.left == 0 {
				d.state = chunkDataCR
			}
			continue
		}
		c := p[n]
		n++
		if d.state == trailerLastLF {
			if c != '\n' {
				return n, false, badChunk
			}
			return n, true, Fault{}
		}
		if fault = d.step(c); fault.Status != 0 {
			return n, false, fault
		}
	}
	return n, false, Fault{}
}

var (
	badChunk  = Fault{StatusBadRequest, "the chunked body is malformed", "RFC 9112 §7.1"}
	longChunk = Fault{StatusContentTooLarge, "the chunked body is too long", "RFC 9110 §15.5.14"}
)

// step processes one byte that is not data.
func (d *Discarder) step(c byte) Fault {
	switch d.state {
	case chunkSize:
		return d.size(c)
	case chunkExt, trailerValue:
		return d.text(c)
	case chunkSizeLF:
		if d.left > 0 {
			return d.lf(c, chunkData)
		}
		return d.lf(c, trailerStart)
	case chunkDataCR:
		if c != '\r' {
			return badChunk
		}
		d.state = chunkDataLF
	case chunkDataLF:
		*d = Discarder{total: d.total, extra: d.extra, state: d.state}
		return d.lf(c, chunkSize)
	case trailerStart, trailerName:
		return d.trailer(c)
	case trailerLF:
		return d.lf(c, trailerStart)
	}
	return Fault{}
}

func (d *Discarder) lf(c byte, next chunkState) Fault {
	if c != '\n' {
		return badChunk
	}
	d.state = next
	return Fault{}
}

func (d *Discarder) size(c byte) Fault {
	switch {
	case is(c, charHex):
		if d.digit++; d.digit > maxChunkDigits {
			return longChunk
		}
		d.left = d.left<<4 | int64(hexValue(c))
		return Fault{}
	case d.digit == 0:
		return badChunk
	case d.total+d.left > MaxBody:
		return longChunk
	case c == ';':
		d.total += d.left
		d.state = chunkExt
		return d.more()
	case c == '\r':
		d.total += d.left
		d.state = chunkSizeLF
		return Fault{}
	}
	return badChunk
}

// text processes a byte of an extension or of a trailer's value, up to its CR.
func (d *Discarder) text(c byte) Fault {
	if c == '\r' {
		if d.state == chunkExt {
			d.state = chunkSizeLF
		} else {
			d.state = trailerLF
		}
		return Fault{}
	}
	if !is(c, charValue) {
		return badChunk
	}
	return d.more()
}

func (d *Discarder) trailer(c byte) Fault {
	switch {
	case d.state == trailerStart && c == '\r':
		d.state = trailerLastLF
		return Fault{}
	case d.state == trailerName && c == ':':
		d.state = trailerValue
	case is(c, charToken):
		d.state = trailerName
	default:
		return badChunk
	}
	return d.more()
}

func (d *Discarder) more() Fault {
	if d.extra++; d.extra > maxChunkExtra {
		return longChunk
	}
	return Fault{}
}

// hexValue returns the value of a HEXDIG.
func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return (c | 0x20) - 'a' + 10
}
