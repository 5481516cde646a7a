package compress

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/site"
)

// A digest is made once for each state of a file, and is that of its content.
func TestAddDigest(t *testing.T) {
	s, dir := stored(t, 1<<20)
	ctx := context.Background()
	f := source(t, text(300_000))
	add := func(want bool) {
		t.Helper()
		if made, err := s.AddDigest(ctx, f, false); made != want || err != nil {
			t.Fatalf("made %v, %v", made, err)
		}
	}
	add(true)
	add(false)
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	got := must(os.ReadFile(filepath.Join(dir, site.DigestName(&st, false))))
	if want := sha256.Sum256(text(300_000)); string(got) != string(want[:]) {
		t.Errorf("digest %x", got)
	}
	if err := os.WriteFile(f.Name(), text(300_001), 0o644); err != nil {
		t.Fatal(err)
	}
	add(true)
	if all := names(t, dir); len(all) != 2 || s.Kept() != 2*minKept {
		t.Errorf("files %q, %d bytes", all, s.Kept())
	}
	if again, err := OpenStore(s.dir, 1<<20); err != nil || again.Kept() != 2*minKept {
		t.Errorf("opened again: %d bytes, %v", again.Kept(), err)
	}
}

// Digests count, and the oldest go at the limit.
func TestEvictDigests(t *testing.T) {
	s, dir := stored(t, 8*minKept)
	for i := range 20 {
		if made, err := s.AddDigest(context.Background(), source(t, text(10+i)), false); !made || err != nil {
			t.Fatal(made, err)
		}
	}
	if n := len(names(t, dir)); n > 8 || n < 6 || s.Kept() != int64(n*minKept) {
		t.Errorf("%d digests, %d bytes are kept", n, s.Kept())
	}
}

// Whatever goes wrong, nothing is left.
func TestDigestErrors(t *testing.T) {
	s, dir := stored(t, 1<<20)
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := s.AddDigest(ended, source(t, text(5000)), false); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	f := source(t, text(5000))
	if _, err := s.AddDigest((&changing{f: f}).context(t), f, false); !errors.Is(err, ErrChanged) {
		t.Errorf("of a file that changes: %v", err)
	}
	var st unix.Stat_t
	young := source(t, text(5000))
	if err := unix.Fstat(int(young.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Unix(st.Ctim.Unix()) }
	if made, err := s.AddDigest(context.Background(), young, false); made || !errors.Is(err, ErrNotWorth) {
		t.Errorf("of a file that has just changed: made %v, %v", made, err)
	}
	if all := names(t, dir); len(all) != 0 {
		t.Errorf("files %q", all)
	}
}
