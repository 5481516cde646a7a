package site

import "testing"

func TestIcons(t *testing.T) {
	for name, want := range map[string]string{
		"a.jpg": "i", "a.svg": "i", "a.MP4": "v", "a.mp3": "a", "a.zip": "z", "a.tar.gz": "z", "a.iso": "z", "a.go": "c", "a.html": "c", "a.js": "c",
		"a.txt": "t", "README.md": "t", "a.pdf": "t", "Makefile": "", "a.unknown": "", "": "",
	} {
		if want != "" {
			want = ` class="` + want + `"`
		}
		if got := iconOf(&entry{name: name}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := iconOf(&entry{name: "a.jpg", dir: true}); got != ` class="d"` {
		t.Errorf("a directory: %s", got)
	}
}
