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
			Passwords:    []Passwords{{Name: []byte("/srv/\xff"), Text: []byte("ada:$2y$")}},
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
	for _, p := range []string{"", "null x", "[]", `{"TicketKeys":[["a"]]}`, `{"Certificates":[{"Key":"no base64"}]}`} {
		if b, err := DecodeBundle([]byte(p)); err == nil {
			t.Errorf("%q: %+v", p, b)
		}
	}
	large := &Bundle{ClientCA: make([]byte, MaxBundle)}
	if _, err := large.Encode(); err == nil || !strings.Contains(err.Error(), "the limit is 16777216") {
		t.Errorf("a large bundle: %v", err)
	}
}
