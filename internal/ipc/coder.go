package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"
)

// The fields of a message follow each other, coded by their types: numbers are big-endian, a
// bool is one byte, and text, which is the last field, extends to the end of the message.

// size returns the number of bytes of a field that is not text.
func size(field reflect.Type) int {
	if field.Kind() == reflect.Int {
		return 4 // 0 to 2^31-1
	}
	return int(field.Size())
}

// appendField appends a field to a message.
func appendField(p []byte, field reflect.Value) []byte {
	var n uint64
	switch {
	case field.Kind() == reflect.String:
		return appendText(p, field.String())
	case field.Kind() == reflect.Bool && field.Bool():
		n = 1
	case field.CanInt():
		n = uint64(field.Int())
	case field.CanUint():
		n = field.Uint()
	}
	return append(p, binary.BigEndian.AppendUint64(nil, n)[8-size(field.Type()):]...)
}

// appendText appends text. If the message would be too long, it is truncated between characters.
func appendText(p []byte, text string) []byte {
	text = strings.ToValidUTF8(text, "\uFFFD")
	n := min(len(text), MaxMessage-len(p))
	for n < len(text) && !utf8.RuneStart(text[n]) {
		n--
	}
	return append(p, text[:n]...)
}

// readField reads a field, and returns what follows it.
func readField(p []byte, field reflect.Value) (rest []byte, err error) {
	if field.Kind() == reflect.String {
		if !utf8.Valid(p) {
			return nil, errors.New("text is not UTF-8")
		}
		field.SetString(string(p))
		return nil, nil
	}
	size := size(field.Type())
	if len(p) < size {
		return nil, errLength
	}
	var number [8]byte
	copy(number[8-size:], p)
	n := binary.BigEndian.Uint64(number[:])
	switch {
	case field.Kind() == reflect.Bool && n <= 1:
		field.SetBool(n == 1)
	case field.CanInt() && n <= math.MaxInt64>>(64-8*size):
		field.SetInt(int64(n))
	case field.CanUint():
		field.SetUint(n)
	default:
		return nil, fmt.Errorf("%d is out of range", n)
	}
	return p[size:], nil
}
