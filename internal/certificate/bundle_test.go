package certificate

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func bundles() map[string]*Bundle {
	return map[string]*Bundle{
		"empty": {},
		"full": {
			Certificates: []Source{{"a.pem", []byte("chain"), []byte("key")}, {"", nil, nil}, {"ü", []byte{0, 255}, nil}},
			TicketKeys:   [][32]byte{{1, 2}, {}, {31: 9}},
			ClientCA:     bytes.Repeat([]byte("ca"), 300),
			Challenges:   []Source{{"example.org", []byte("c"), []byte("k")}},
			Answers:      map[string]string{"token": "token.thumbprint", "another": "", "": "x"},
		},
		"answers": {Answers: map[string]string{"b": "1", "a": "2"}},
	}
}

func TestBundle(t *testing.T) {
	for name, b := range bundles() {
		p, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBundle(p)
		if err != nil || !reflect.DeepEqual(got, b) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		for n := range p {
			if _, err := DecodeBundle(p[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes are accepted", name, n, len(p))
			}
		}
		if _, err := DecodeBundle(append(p, 0)); err == nil {
			t.Errorf("%s: an extra byte is accepted", name)
		}
	}
}

func TestBundleErrors(t *testing.T) {
	for name, p := range map[string][]byte{
		"nothing":           nil,
		"another version":   {2, 0, 0, 0, 0, 0},
		"endless sources":   append([]byte{1}, bytes.Repeat([]byte{255}, 9)...),
		"many sources":      {1, 255, 255, 255, 255, 15, 0, 0, 0},
		"many keys":         {1, 0, 255, 255, 255, 255, 15, 0, 0, 0},
		"a long field":      {1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
		"a longer number":   {1, 0x80, 0, 0, 0, 0, 0},
		"answers unsorted":  {1, 0, 0, 0, 0, 2, 1, 'b', 0, 1, 'a', 0},
		"an answer twice":   {1, 0, 0, 0, 0, 2, 1, 'a', 0, 1, 'a', 0},
		"larger than large": make([]byte, MaxBundle+1),
	} {
		if b, err := DecodeBundle(p); err == nil {
			t.Errorf("%s: %+v", name, b)
		}
	}
	large := &Bundle{ClientCA: make([]byte, MaxBundle)}
	if _, err := large.Encode(); err == nil || !strings.Contains(err.Error(), "the limit is 16777216") {
		t.Errorf("a large bundle: %v", err)
	}
}

// FuzzDecodeBundle checks that an accepted input is what Encode writes, and that no input
// takes much more memory than it has bytes.
func FuzzDecodeBundle(f *testing.F) {
	for _, b := range bundles() {
		p, err := b.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Add([]byte{1, 255, 255, 255, 255, 15, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := DecodeBundle(p)
		if err != nil {
			return
		}
		if again, err := b.Encode(); err != nil || !bytes.Equal(again, p) {
			t.Errorf("%x became %x, %v", p, again, err)
		}
	})
}
