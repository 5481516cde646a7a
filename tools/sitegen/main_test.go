package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/image/font/gofont/goregular"
	_ "golang.org/x/image/webp"
)

const siteDir = "../../site"

// The committed assets are the output of this program. With the toolchain that
// made them every byte is the same. Another one may compress differently; then
// the decompressed content must be the same.
func TestAssetsAreCurrent(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-o", dir}, &stdout, &stderr); code != 0 || stdout.Len()+stderr.Len() > 0 {
		t.Fatalf("run = %d, stdout %q, stderr %q; want 0 and silence", code, &stdout, &stderr)
	}
	exact := strings.HasPrefix(runtime.Version(), "go1.26")
	for _, a := range assets() {
		got := readFile(t, filepath.Join(dir, a.path))
		want := readFile(t, filepath.Join(siteDir, a.path))
		if bytes.Equal(got, want) {
			continue
		}
		if exact || !sameContent(t, a.path, got, want) {
			t.Errorf("%s differs from the output of sitegen; run `make site`", a.path)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		say  string
	}{
		{"help", []string{"-h"}, 0, "-o directory"},
		{"unknown flag", []string{"-x"}, 64, "-x"},
		{"unexpected argument", []string{"site"}, 64, `"site"`},
		{"output is a file", []string{"-o", file}, 1, "not a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := run(tt.args, io.Discard, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stderr.String(), tt.say) {
				t.Errorf("stderr %q does not name %s", &stderr, tt.say)
			}
		})
	}
}

// A packed font contains every table of the original.
func TestWOFFKeepsTables(t *testing.T) {
	ttf := goregular.TTF
	packed, err := woff(ttf)
	if err != nil {
		t.Fatal(err)
	}
	if size := binary.BigEndian.Uint32(packed[8:]); int(size) != len(packed) {
		t.Errorf("header says %d bytes, file has %d", size, len(packed))
	}
	if size := binary.BigEndian.Uint32(packed[16:]); int(size) != len(pad(bytes.Clone(ttf))) {
		t.Errorf("header says the font has %d bytes, it has %d", size, len(ttf))
	}
	tables := unpack(t, packed)
	for i := range int(binary.BigEndian.Uint16(ttf[4:])) {
		entry := ttf[sfntHeader+sfntEntry*i:]
		offset, length := binary.BigEndian.Uint32(entry[8:]), binary.BigEndian.Uint32(entry[12:])
		if tag := string(entry[:4]); !bytes.Equal(tables[tag], ttf[offset:offset+length]) {
			t.Errorf("table %q changed", tag)
		}
	}
}

func TestWOFFRefusesBrokenFonts(t *testing.T) {
	for _, n := range []int{0, 11, 40, len(goregular.TTF) / 2} {
		if _, err := woff(goregular.TTF[:n]); err == nil {
			t.Errorf("a font cut to %d bytes was packed", n)
		}
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func sameContent(t *testing.T, name string, got, want []byte) bool {
	switch filepath.Ext(name) {
	case ".png", ".webp", ".jpg":
		return samePicture(t, got, want, filepath.Ext(name) == ".jpg")
	case ".ico":
		return bytes.Equal(got[:6], want[:6]) && samePicture(t, firstIcon(got), firstIcon(want), false)
	case ".woff":
		a, b := unpack(t, got), unpack(t, want)
		for tag := range b {
			if !bytes.Equal(a[tag], b[tag]) {
				return false
			}
		}
		return len(a) == len(b)
	}
	return false
}

func firstIcon(ico []byte) []byte { return ico[binary.LittleEndian.Uint32(ico[18:]):] }

// samePicture compares the pixels; those of a lossy format may differ by one
// percent on average.
func samePicture(t *testing.T, got, want []byte, lossy bool) bool {
	a, _, err := image.Decode(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := image.Decode(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if a.Bounds() != b.Bounds() {
		return false
	}
	apart := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			r, g, u, _ := a.At(x, y).RGBA()
			s, h, v, _ := b.At(x, y).RGBA()
			apart += max(int(r)-int(s), int(s)-int(r)) + max(int(g)-int(h), int(h)-int(g)) + max(int(u)-int(v), int(v)-int(u))
		}
	}
	if !lossy {
		return apart == 0
	}
	return apart/(3*a.Bounds().Dx()*a.Bounds().Dy()) < 0xffff/100
}

// unpack returns the tables of a WOFF file by their tags.
func unpack(t *testing.T, packed []byte) map[string][]byte {
	t.Helper()
	be := binary.BigEndian
	tables := map[string][]byte{}
	for i := range int(be.Uint16(packed[12:])) {
		entry := packed[woffHeader+woffEntry*i:]
		offset, size, length := be.Uint32(entry[4:]), be.Uint32(entry[8:]), be.Uint32(entry[12:])
		data := packed[offset : offset+size]
		if size < length {
			r, err := zlib.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if len(data) != int(length) {
			t.Errorf("table %q has %d bytes, directory says %d", entry[:4], len(data), length)
		}
		tables[string(entry[:4])] = data
	}
	return tables
}
