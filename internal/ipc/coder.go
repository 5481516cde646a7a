package ipc

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// coder writes or reads the fields of a message, so that each message lists its fields only
// once.
type coder struct {
	writes bool
	room   int    // bytes that may still be written
	p      []byte // the bytes written, or still to be read
	err    error  // the first error of a read
}

var errLength = errors.New("wrong length")

// number codes a big-endian field of size bytes. A value that is read must be from least to
// most.
func number[T ~byte | ~int | ~int64 | ~uint32 | ~uint64](c *coder, v *T, size int, least, most uint64) {
	if c.writes {
		for i := size - 1; i >= 0; i-- {
			c.p = append(c.p, byte(uint64(*v)>>(8*i)))
		}
		c.room -= size
		return
	}
	if c.err != nil || len(c.p) < size {
		c.fail(errLength)
		return
	}
	n := uint64(0)
	for _, b := range c.p[:size] {
		n = n<<8 | uint64(b)
	}
	c.p = c.p[size:]
	if n < least || n > most {
		c.fail(fmt.Errorf("%d is out of range", n))
	}
	*v = T(n)
}

func (c *coder) flag(v *bool) {
	n := byte(0)
	if *v {
		n = 1
	}
	number(c, &n, 1, 0, 1)
	*v = n == 1
}

// text codes the last field, UTF-8. Text that is too long is truncated between characters.
func (c *coder) text(v *string) {
	if !c.writes {
		if !utf8.Valid(c.p) {
			c.fail(errors.New("text is not UTF-8"))
		}
		*v, c.p = string(c.p), nil
		return
	}
	s := strings.ToValidUTF8(*v, "\uFFFD")
	n := min(len(s), c.room)
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	c.p = append(c.p, s[:n]...)
}

// fail keeps the first error.
func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
