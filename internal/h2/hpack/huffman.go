package hpack

// This file has the code of RFC 7541 Appendix B. It is canonical: of two symbols the one
// with the shorter code, or else the lower one, has the smaller code. So the lengths say
// all.

// codeLengths are the bits of each byte's code.
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
	longest  = 30 // bits of a code, that of the end of a string too
	fastBits = 8  // of the codes that are found with one look
)

// coding is the code, made from the lengths.
type coding struct {
	codes [256]uint32
	// fast has, for the next fastBits bits, the symbol whose code they begin with, and
	// how long it is: 0 if it is longer.
	fast [1 << fastBits]struct{ symbol, bits uint8 }
	// The codes of a length, left-aligned in 32 bits, begin at first and end before
	// limit; their symbols begin at offset in symbols.
	first, limit [longest + 1]uint64
	offset       [longest + 1]uint16
	symbols      [256]uint8
}

// huffman is a constant in all but name: Go has no constant arrays.
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

// appendDecoded appends the string that p is the code of; false if it is not one
// (RFC 7541 §5.2).
func (c *coding) appendDecoded(dst, p []byte) ([]byte, bool) {
	var window uint64 // the next bits, left-aligned
	n := 0            // of them
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
			// What is left is padding: less than a byte, of the first bits of the
			// code for the end of a string, which are ones.
			return dst, n < 8 && len(p) == 0 && window == ^uint64(0)<<(64-n)
		}
		if bits > longest {
			return dst, false // the end of a string must not be coded
		}
		dst = append(dst, f.symbol)
		window, n = window<<bits, n-bits
	}
}

// encodedLen returns the bytes of the code of s.
func (c *coding) encodedLen(s []byte) int {
	bits := 0
	for _, b := range s {
		bits += int(codeLengths[b])
	}
	return (bits + 7) / 8
}

// appendEncoded appends the code of s.
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
