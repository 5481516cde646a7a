package hpack

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	oracle "golang.org/x/net/http2/hpack"
)

// decode decodes a block with a Decoder, as lines "name: value".
func decode(d *Decoder, block []byte) (fields []string, err error) {
	var s Scratch
	d.Begin()
	for {
		f, rest, ok, err := d.Next(block, &s)
		if err != nil || !ok {
			return fields, err
		}
		fields = append(fields, fmt.Sprintf("%s: %s", f.Name, f.Value))
		block = rest
	}
}

func unhex(s string) []byte {
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return p
}

// The examples of RFC 7541 Appendix C.4: requests with Huffman coding, one connection.
func TestExamples(t *testing.T) {
	common := []string{":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"}
	d := NewDecoder()
	for _, c := range []struct {
		block string
		want  []string
		size  int
	}{
		{"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", common, 57},
		{"8286 84be 5886 a8eb 1064 9cbf", append(slices.Clone(common), "cache-control: no-cache"), 110},
		{"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
			[]string{":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"}, 164},
	} {
		got, err := decode(&d, unhex(c.block))
		if err != nil || !slices.Equal(got, c.want) || d.table.size != c.size {
			t.Errorf("%q, %v, table of %d; want %q and %d", got, err, d.table.size, c.want, c.size)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, block := range map[string]string{
		"index 0":                           "80",
		"index beyond the tables":           "be",
		"name beyond the tables":            "7f 00 01 61",
		"integer without end":               "ff 80 80",
		"integer too long":                  "ff 80 80 80 80 80 80 80 80 80 80 01",
		"string longer than the block":      "40 05 61",
		"no value":                          "40 01 61",
		"Huffman: padding of zeros":         "40 81 18 00",
		"Huffman: a byte of padding":        "40 82 1f ff 00",
		"Huffman: end of string":            "40 84 ff ff ff ff 00",
		"size update over the limit":        "3f e2 1f",
		"size update behind a field":        "82 3f e1 1f",
		"size update without end of number": "3f",
	} {
		d := NewDecoder()
		if got, err := decode(&d, unhex(block)); err != ErrDecode && err != ErrSize {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A name that is copied from an entry which the new entry evicts is still correct (§4.4).
func TestNameOfEvictedEntry(t *testing.T) {
	d := NewDecoder()
	block := appendString(append([]byte{0x40}, 1, 'n'), []byte("v"))
	if _, err := decode(&d, block); err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte{0}, 4040) // both do not fit
	block = appendInteger(nil, 0x40, 6, len(static)+1)
	block = append(appendInteger(block, 0, 7, len(long)), long...)
	got, err := decode(&d, append(block, 0xbe))
	want := "n: " + string(long)
	if err != nil || !slices.Equal(got, []string{want, want}) || d.table.len() != 1 {
		t.Errorf("%d fields, %v, %d entries", len(got), err, d.table.len())
	}
}

// Another decoder reads what the encoder writes, whatever sizes the table has had.
func TestEncoder(t *testing.T) {
	e := NewEncoder()
	var got []string
	o := oracle.NewDecoder(DefaultTable, func(f oracle.HeaderField) { got = append(got, f.Name+": "+f.Value) })
	for i, limit := range []uint32{4096, 4096, 0, 100, 64, 1 << 30, 300, 4096, 4096} {
		e.Limit(limit)
		if i == 6 {
			e.Limit(0)
			e.Limit(200)
		}
		var want []string
		block := e.Begin(nil)
		block = e.AppendStatus(block, []byte("200"))
		want = append(want, ":status: 200")
		for j := range 40 {
			name, value := fmt.Sprintf("X-Name-%d", j%7*i), fmt.Sprintf("value %d \x00\xff %s", j*i, strings.Repeat("z", j%5*20))
			block = e.Append(block, []byte(name), []byte(value))
			want = append(want, strings.ToLower(name)+": "+value)
		}
		got = got[:0]
		if _, err := o.Write(block); err != nil || o.Close() != nil || !slices.Equal(got, want) {
			t.Fatalf("limit %d: %v\n%q\n%q", limit, err, got, want)
		}
		if e.table.size > int(limit) || e.table.size > EncoderTable {
			t.Errorf("a table of %d bytes", e.table.size)
		}
	}
}

// A repeated response is encoded in a few bytes.
func TestEncoderCompresses(t *testing.T) {
	e := NewEncoder()
	var block []byte
	for range 2 {
		block = e.AppendStatus(e.Begin(block[:0]), []byte("200"))
		for _, f := range response {
			block = e.Append(block, []byte(f[0]), []byte(f[1]))
		}
	}
	if len(block) > 80 {
		t.Errorf("%d bytes: %x", len(block), block)
	}
}

var response = [][2]string{
	{"Server", "phalanx"}, {"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}, {"X-Content-Type-Options", "nosniff"},
	{"Expires", "Sun, 06 Nov 1994 20:49:37 GMT"}, {"Cache-Control", "max-age=43200"}, {"Vary", "Accept-Encoding"},
	{"Last-Modified", "Sun, 06 Nov 1994 08:32:57 GMT"}, {"ETag", `"18f3a2b4c5d6e7f8-2000"`}, {"Accept-Ranges", "bytes"},
	{"Content-Type", "text/html; charset=utf-8"}, {"Content-Length", "8192"},
}

func TestHuffman(t *testing.T) {
	for i := range 1000 {
		s := make([]byte, i%40)
		for j := range s {
			s[j] = byte(i*j + j*j*7)
		}
		coded := huffman.appendEncoded(nil, s)
		if want := oracle.AppendHuffmanString(nil, string(s)); !bytes.Equal(coded, want) || huffman.encodedLen(s) != len(want) {
			t.Fatalf("%x: %x, want %x", s, coded, want)
		}
		if got, ok := huffman.appendDecoded(nil, coded); !ok || !bytes.Equal(got, s) {
			t.Fatalf("%x, %v, want %x", got, ok, s)
		}
	}
}

// In the steady state neither direction allocates.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	e, d, s := NewEncoder(), NewDecoder(), new(Scratch)
	var block []byte
	i := byte(0)
	round := func() {
		i++
		block = e.Begin(block[:0])
		for _, f := range response {
			block = e.Append(block, []byte(f[0]), []byte(f[1]))
		}
		var counter [9]byte
		for j := range counter {
			counter[j] = i
		}
		block = e.Append(block, []byte("X-Counter"), counter[:])
		d.Begin()
		for rest := block; ; {
			_, more, ok, err := d.Next(rest, s)
			if err != nil {
				t.Fatal(err)
			}
			if rest = more; !ok {
				break
			}
		}
	}
	for range 300 {
		round()
	}
	if n := testing.AllocsPerRun(500, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A table never exceeds its limit, whatever is put into it.
func TestTableIsBounded(t *testing.T) {
	table := table{max: DefaultTable}
	value := make([]byte, 5000)
	for i := range 100000 {
		table.add(value[:i%11], value[:i*i%(1+i%3*2000)], 0)
		if table.size > table.max || len(table.bytes) > table.max || cap(table.bytes) > 3*table.max || cap(table.entries) > 512 {
			t.Fatalf("size %d, %d bytes in %d, %d entries", table.size, len(table.bytes), cap(table.bytes), cap(table.entries))
		}
	}
}

// Entries without a byte, which a client may add by the thousand in one block, do not pile up.
func TestEmptyEntriesAreBounded(t *testing.T) {
	d := NewDecoder()
	block := bytes.Repeat([]byte{0x40, 0, 0}, 5000)
	for range 20 {
		if _, err := decode(&d, block); err != nil {
			t.Fatal(err)
		}
	}
	if d.table.len() != DefaultTable/overhead || cap(d.table.entries) > 512 {
		t.Errorf("%d entries, memory for %d", d.table.len(), cap(d.table.entries))
	}
}

func BenchmarkEncode(b *testing.B) {
	e := NewEncoder()
	var fields [][2][]byte
	for _, f := range response {
		fields = append(fields, [2][]byte{[]byte(f[0]), []byte(f[1])})
	}
	var block []byte
	b.ReportAllocs()
	for b.Loop() {
		block = e.Begin(block[:0])
		for _, f := range fields {
			block = e.Append(block, f[0], f[1])
		}
	}
}
