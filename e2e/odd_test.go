package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oddTree is a directory with the names and sizes at which servers go wrong.
func oddTree(t *testing.T) string {
	t.Helper()
	dir := openDir(t)
	for _, name := range oddNames() {
		write(t, filepath.Join(dir, name), noise(name, 1000))
	}
	for _, size := range oddSizes() {
		name := fmt.Sprintf("size/%d.bin", size)
		write(t, filepath.Join(dir, name), noise(name, size))
	}
	// Older than every clock's epoch of interest, and with a fraction that
	// Last-Modified cannot hold.
	old := time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	write(t, filepath.Join(dir, "old.html"), []byte("<p>old</p>"))
	if err := os.Chtimes(filepath.Join(dir, "old.html"), old, old); err != nil {
		t.Fatal(err)
	}
	return dir
}

func oddNames() []string {
	return []string{
		"a b.txt", " lead and trail ", "tab\there.txt", "line\nbreak.txt", "esc\x1b[31m.txt", "del\x7f.txt",
		"plus+plus.txt", "per%cent.txt", "%41.txt", "a%2fb.txt", "%", "q?x=1.html", "hash#1.html",
		"semi;colon.txt", "colon:a", "at@sign", "amp&eq=1", "comma,dollar$", "star*bang!", "tilde~",
		"(round)[square]{curly}", "pipe|caret^tick`", "back\\slash.txt", "quote'\".txt", "<angle>.html",
		"gr\u00fc\u00dfe.html", "\u65e5\u672c\u8a9e.txt", "\U0001f6e1.txt", "nfc-\u00e9.txt", "nfd-e\u0301.txt",
		"not-utf8-\xff\xfe.bin", "\u202egnp.exe", ".well-known/probe.txt", "a..", "b...c",
		"name.", "noextension", "UPPER.HTML", "two.dots.min.js", "dir.with.dots/index.html", "d e/f g/h.txt",
		strings.Repeat("n", 251) + ".txt", strings.Repeat("deep/", 60) + "bottom.txt",
	}
}

func oddSizes() []int {
	sizes := []int{0, 1, 2, 3<<20 + 1, 7 << 20}
	for shift := 12; shift <= 16; shift++ {
		sizes = append(sizes, 1<<shift-1, 1<<shift, 1<<shift+1)
	}
	return sizes
}

// noise is content that no other name has and that holds every byte.
func noise(name string, size int) []byte {
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("%d %s", size, name))
	b := make([]byte, size)
	// ChaCha8 never fails to read.
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}
