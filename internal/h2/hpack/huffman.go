package hpack

// This file implements the Huffman code of RFC 7541 Appendix B. The code is canonical: codes
// increase with their length, and with the symbol among codes of one length. So the lengths
// determine the codes.

// codeLengths has the length in bits of each byte's code.
var codeLengths = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
	28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
	5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
	6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
	24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
	21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
	19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	shortest = 5  // bits of a code
	longest  = 30 // bits of a code; EOS has this length too
	fastBits = 8  // codes up to this length take one table lookup
)

// coding holds the codes and the decoding tables, made from codeLengths.
type coding struct {
	codes [256]uint32
	// fast maps the next fastBits bits to the symbol whose code they begin with and the length
	// of the code; 0: it is longer than fastBits.
	fast [1 << fastBits]struct{ symbol, bits uint8 }
	// The codes of a length, left-aligned in 32 bits, begin at first and end before
	// limit; their symbols begin at offset in symbols.
	first, limit [longest + 1]uint64
	offset       [longest + 1]uint16
	symbols      [256]uint8
}

// huffman is never changed: Go has no constant arrays.
var huffman = makeCoding()

func makeCoding() *coding {
	var c coding
	code, n := uint32(0), 0
	for bits := shortest; bits <= longest; bits++ {
		code <<= 1
		c.first[bits], c.offset[bits] = uint64(code)<<(32-bits), uint16(n)
		for s, l := range codeLengths {
			if int(l) != bits {
				continue
			}
			c.codes[s], c.symbols[n] = code, uint8(s)
			if bits <= fastBits {
				from := code << (fastBits - bits)
				for i := from; i < from+1<<(fastBits-bits); i++ {
					c.fast[i].symbol, c.fast[i].bits = uint8(s), l
				}
			}
			code, n = code+1, n+1
		}
		c.limit[bits] = uint64(code) << (32 - bits)
	}
	return &c
}

// appendDecoded decodes p and appends the string; false if p is malformed (RFC 7541 §5.2).
func (c *coding) appendDecoded(dst, p []byte) ([]byte, bool) {
	var window uint64 // the next bits, left-aligned
	n := 0            // bits in window
	for {
		for n <= 56 && len(p) > 0 {
			window |= uint64(p[0]) << (56 - n)
			p, n = p[1:], n+8
		}
		f := c.fast[window>>(64-fastBits)]
		bits := int(f.bits)
		if bits == 0 {
			bits = fastBits + 1
			for top := window >> 32; bits <= longest && top >= c.limit[bits]; {
				bits++
			}
			if bits <= longest && bits <= n {
				f.symbol = c.symbols[int(c.offset[bits])+int((window>>32-c.first[bits])>>(32-bits))]
			}
		}
		if bits > n {
			// The rest is padding: less than a byte, all ones.
			return dst, n < 8 && len(p) == 0 && window == ^uint64(0)<<(64-n)
		}
		if bits > longest {
			return dst, false // EOS must not appear
		}
		dst = append(dst, f.symbol)
		window, n = window<<bits, n-bits
	}
}

// encodedLen returns the length of the encoded s in bytes.
func (c *coding) encodedLen(s []byte) int {
	bits := 0
	for _, b := range s {
		bits += int(codeLengths[b])
	}
	return (bits + 7) / 8
}

// appendEncoded appends s encoded.
func (c *coding) appendEncoded(dst, s []byte) []byte {
	var window uint64
	n := 0
	for _, b := range s {
		window = window<<codeLengths[b] | uint64(c.codes[b])
		for n += int(codeLengths[b]); n >= 8; n -= 8 {
			dst = append(dst, byte(window>>(n-8)))
		}
	}
	if n > 0 {
		dst = append(dst, byte(window<<(8-n))|byte(0xff>>n))
	}
	return dst
}
