package hpack

import (
	"slices"
	"strings"
	"testing"

	oracle "golang.org/x/net/http2/hpack"
)

// FuzzDecoder decodes the blocks of one connection and compares the result with x/net's. A
// zero length ends the blocks.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x02\x82\x86\x03\x40\x00\x00\x01\xbe"))
	f.Add([]byte("\x06\x40\x01a\x01b\xbe\x02\x20\xbe"))
	f.Add([]byte("\x05\x7f\x00\x82\x1f\xff\x03\x3f\xe1\x1f"))
	f.Fuzz(func(t *testing.T, p []byte) {
		d := NewDecoder()
		var want []string
		o := oracle.NewDecoder(DefaultTable, func(f oracle.HeaderField) { want = append(want, f.Name+": "+f.Value) })
		for len(p) > 0 {
			n := min(int(p[0]), len(p)-1)
			block := p[1 : 1+n]
			p = p[1+n:]
			want = want[:0]
			got, err := decode(&d, block)
			_, oerr := o.Write(block)
			if oerr == nil {
				oerr = o.Close()
			}
			if err == ErrSize {
				return // x/net looks only at what it got at once
			}
			if oerr != nil && strings.Contains(oerr.Error(), "size update MUST") {
				return // x/net takes no second one, though RFC 7541 §4.2 has it
			}
			if (err != nil) != (oerr != nil) || !slices.Equal(got, want) {
				t.Fatalf("%x: %q, %v; x/net has %q, %v", block, got, err, want, oerr)
			}
			if err != nil {
				return
			}
		}
	})
}

// FuzzEncoder checks that both decoders decode what the encoder writes.
func FuzzEncoder(f *testing.F) {
	f.Add([]byte("\x04name\x05value\x00\x00"), uint16(4096))
	f.Fuzz(func(t *testing.T, p []byte, limit uint16) {
		e, d := NewEncoder(), NewDecoder()
		o := oracle.NewDecoder(DefaultTable, nil)
		for range 3 {
			var want, other []string
			o.SetEmitFunc(func(f oracle.HeaderField) { other = append(other, f.Name+": "+f.Value) })
			block := e.Begin(nil)
			for rest := p; len(rest) > 1; {
				var s [2][]byte
				for i := range s {
					if len(rest) > 0 {
						n := min(int(rest[0]), len(rest)-1)
						s[i], rest = rest[1:1+n], rest[1+n:]
					}
				}
				block = e.Append(block, s[0], s[1])
				want = append(want, string(appendLower(nil, s[0]))+": "+string(s[1]))
			}
			got, err := decode(&d, block)
			if _, oerr := o.Write(block); err != nil || oerr != nil || o.Close() != nil || !slices.Equal(got, want) || !slices.Equal(other, want) {
				t.Fatalf("%v, %v: %q, %q, want %q", err, oerr, got, other, want)
			}
			e.Limit(uint32(limit))
		}
	})
}
