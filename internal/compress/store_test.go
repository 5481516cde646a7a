package compress

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// stored opens a store in a new directory. Its clock is ten seconds ahead, so that files
// that were just written are old enough.
func stored(t *testing.T, most int64) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	s, err := OpenStore(fd, most)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Now().Add(10 * time.Second) }
	return s, dir
}

func source(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A copy is made once for each state of a file. That a file does not compress is remembered
// too. A new state gets a new copy.
func TestStore(t *testing.T) {
	s, dir := stored(t, 1<<20)
	ctx := context.Background()
	f := source(t, text(5000))
	size, made, err := s.Add(ctx, f, proto.Brotli)
	if err != nil || !made || size <= 0 || size > Most(5000) || s.Kept() != size {
		t.Fatalf("%d bytes, made %v, %v, %d kept", size, made, err, s.Kept())
	}
	if again, made, err := s.Add(ctx, f, proto.Brotli); err != nil || made || again != size {
		t.Errorf("again: %d bytes, made %v, %v", again, made, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	name := site.CopyName(&st, proto.Brotli)
	if coded := must(os.ReadFile(filepath.Join(dir, name))); int64(len(coded)) != size || len(name) > site.MaxCopyName {
		t.Errorf("%s has %d bytes, want %d", name, len(coded), size)
	}
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(i * i * i >> 7)
	}
	worthless := source(t, noise)
	for range 2 {
		if _, _, err := s.Add(ctx, worthless, proto.Gzip); !errors.Is(err, ErrNotWorth) {
			t.Errorf("noise: %v", err)
		}
	}
	if err := os.WriteFile(f.Name(), text(5001), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, made, err := s.Add(ctx, f, proto.Brotli); err != nil || !made {
		t.Errorf("a new state: made %v, %v", made, err)
	}
	if all := names(t, dir); len(all) != 3 {
		t.Errorf("files %q", all)
	}
	young := source(t, text(6000))
	if err := unix.Fstat(int(young.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Unix(st.Ctim.Unix()) }
	if _, made, err := s.Add(ctx, young, proto.Brotli); made || !errors.Is(err, ErrNotWorth) {
		t.Errorf("a file that has just changed: made %v, %v", made, err)
	}
}

// At the limit, the least recently used copies are removed. Other files stay.
func TestEvict(t *testing.T) {
	s, dir := stored(t, 20<<10)
	ctx := context.Background()
	clock := time.Now().Add(10 * time.Second)
	s.now = func() time.Time { clock = clock.Add(time.Second); return clock }
	foreign := []string{"README", "a-b-c-d-e-f-g.br", "1-2-3-4-5-6-7.br.old", "1-2-3-4-5-6.br", "1--3-4-5-6-7.br"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 100<<10), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := source(t, text(10_000))
	for i := range 30 {
		if _, _, err := s.Add(ctx, first, proto.Gzip); err != nil { // it stays in use
			t.Fatal(err)
		}
		if _, _, err := s.Add(ctx, source(t, text(10_000+i)), proto.Gzip); err != nil {
			t.Fatal(err)
		}
	}
	if s.Kept() > 20<<10 {
		t.Errorf("%d bytes are kept", s.Kept())
	}
	if _, made, err := s.Add(ctx, first, proto.Gzip); made || err != nil {
		t.Errorf("the copy in use was removed: %v", err)
	}
	all := names(t, dir)
	for _, name := range foreign {
		if !slices.Contains(all, name) {
			t.Errorf("%s is missing in %q", name, all)
		}
	}
	// Another server with a smaller limit, in the same directory.
	other, err := OpenStore(s.dir, 5<<10)
	if err != nil || other.Kept() > 5<<10 {
		t.Errorf("another store keeps %d bytes, %v", other.Kept(), err)
	}
}

// A partial copy of a killed helper is removed as soon as another helper starts. While it
// cannot be removed, because a helper that shares the directory is writing it or another
// user owns it, it is counted. Files of others stay.
func TestPartialCopiesAreRemoved(t *testing.T) {
	s, dir := stored(t, 1<<20)
	size := int64(100 << 10)
	const name = "801-1a-1388-6a0b-0-6a0b-1f"
	abandoned := []string{".0123456789abcdef." + name + ".br", ".fedcba9876543210." + name + ".sha256"}
	foreign := []string{".1." + name + ".br", ".0123456789abcdef.notes.br", ".0123456789ABCDEF." + name + ".br", ".profile", ".0123456789abcdef." + name + ".txt"}
	for _, name := range append(abandoned, foreign...) {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writing, temp, err := s.begin(name + ".gzip")
	if err != nil {
		t.Fatal(err)
	}
	if err := writing.Truncate(size); err != nil {
		t.Fatal(err)
	}
	want := append([]string{temp}, foreign...)
	slices.Sort(want)
	next, err := OpenStore(s.dir, 1<<20)
	if all := names(t, dir); err != nil || !slices.Equal(all, want) || next.Kept() != size {
		t.Errorf("%v, %d bytes kept, files %q\nwant %d bytes, %q", err, next.Kept(), all, size, want)
	}
	writing.Close()
	if next, err = OpenStore(s.dir, 1<<20); err != nil || next.Kept() != 0 || slices.Contains(names(t, dir), temp) {
		t.Errorf("%v, %d bytes kept, files %q", err, next.Kept(), names(t, dir))
	}
}

// No partial copy is left, whatever fails.
func TestStoreErrors(t *testing.T) {
	s, dir := stored(t, 1<<20)
	ended, end := context.WithCancel(context.Background())
	end()
	if _, _, err := s.Add(ended, source(t, text(5000)), proto.Zstd); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	f := source(t, text(5000))
	changing := &changing{f: f}
	if _, _, err := s.Add(changing.context(t), f, proto.Gzip); !errors.Is(err, ErrChanged) {
		t.Errorf("of a file that changes: %v", err)
	}
	gone := source(t, text(5000))
	if err := os.Remove(gone.Name()); err != nil {
		t.Fatal(err)
	}
	if _, made, err := s.Add(context.Background(), gone, proto.Gzip); made || !errors.Is(err, ErrNotWorth) {
		t.Errorf("of a missing file: %v", err)
	}
	if all := names(t, dir); len(all) != 0 {
		t.Errorf("files %q", all)
	}
}

// changing is a context that changes a file when Err is called.
type changing struct {
	context.Context
	f    *os.File
	done bool
}

func (c *changing) context(t *testing.T) context.Context {
	c.Context = t.Context()
	return c
}

func (c *changing) Err() error {
	if !c.done {
		c.done = true
		return os.WriteFile(c.f.Name(), bytes.Repeat([]byte("new "), 1250), 0o644)
	}
	return nil
}
