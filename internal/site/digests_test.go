package site

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// digesting is a root with a directory of digests and a test's clock.
type digesting struct {
	*Root
	t     *testing.T
	dir   string // of the site
	cache string
	now   time.Time
	asked []bool // whether for a copy
}

func newDigesting(t *testing.T, all bool) *digesting {
	t.Helper()
	d := &digesting{t: t, dir: t.TempDir(), cache: t.TempDir(), now: time.Now().Add(time.Minute)}
	d.Root = openRoot(t, d.dir)
	fd, err := unix.Open(d.cache, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	d.Now = func() time.Time { return d.now }
	d.Digests = NewDigests(fd, all, func(copied bool, fd int) bool {
		d.asked = append(d.asked, copied)
		return fd >= 0
	})
	return d
}

// write writes a file of the site, gives it a modification time, and returns its state.
func (d *digesting) write(name string, content []byte, modified time.Time) (st unix.Stat_t) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	err := os.WriteFile(path, content, 0o644)
	if err == nil {
		err = os.Chtimes(path, modified, modified)
	}
	if err == nil {
		err = unix.Stat(path, &st)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return st
}

// make does what the helper does.
func (d *digesting) make(st unix.Stat_t, content []byte, copied bool) {
	d.t.Helper()
	sum := sha256.Sum256(content)
	if err := os.WriteFile(filepath.Join(d.cache, DigestName(&st, copied)), sum[:], 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// has requests a file, and checks its digest, that of want or none yet, and how often digests
// were requested.
func (d *digesting) has(what string, codings proto.Codings, want []byte, asked int) {
	d.t.Helper()
	d.asked = nil
	f, status := d.Open([]byte("/a.txt"), codings, fullAccess())
	if status != proto.StatusOK {
		d.t.Fatalf("%s: %d", what, status)
	}
	defer f.Close()
	d.compare(what, f, want)
	if len(d.asked) != asked {
		d.t.Errorf("%s: requested %d times, want %d", what, len(d.asked), asked)
	}
}

func (d *digesting) compare(what string, f *File, want []byte) {
	d.t.Helper()
	sum, tagged := f.Digest()
	right := sha256.Sum256(want)
	if !tagged || (sum != nil) != (want != nil) || want != nil && !bytes.Equal(sum, right[:]) {
		d.t.Errorf("%s: digest %x, tagged %v, want that of %.10q", what, sum, tagged, want)
	}
}

// A small file has its digest at once, a large one when the helper has made it. None has that of
// an earlier state, even of the same size and modification time.
func TestDigests(t *testing.T) {
	old := time.Unix(1.7e9, 5)
	for _, size := range []int{0, 1, maxAtOnce, maxAtOnce + 1, 100_000} {
		d := newDigesting(t, true)
		var before unix.Stat_t
		for _, letter := range []string{"a", "b"} {
			content := bytes.Repeat([]byte(letter), size)
			st := d.write("a.txt", content, old)
			for st.Ctim == before.Ctim { // until the kernel's clock has moved
				st = d.write("a.txt", content, old)
			}
			before = st
			d.now = time.Unix(st.Ctim.Unix())
			d.has("just changed", proto.Codings{}, nil, 0)
			d.now = d.now.Add(time.Minute)
			if size <= maxAtOnce {
				d.has("small", proto.Codings{}, content, 0)
				continue
			}
			d.has("large", proto.Codings{}, nil, 1)
			d.has("soon after", proto.Codings{}, nil, 0)
			d.now = d.now.Add(askAgain)
			d.has("later", proto.Codings{}, nil, 1)
			d.make(st, content, false)
			d.has("made", proto.Codings{}, content, 0)
		}
	}
}

// Invalid digests are ignored.
func TestDamagedDigest(t *testing.T) {
	d := newDigesting(t, true)
	st := d.write("a.txt", make([]byte, maxAtOnce+1), time.Unix(1.7e9, 0))
	name := filepath.Join(d.cache, DigestName(&st, false))
	for _, size := range []int{0, 31, 33} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		d.has("damaged", proto.Codings{}, nil, 1)
		d.now = d.now.Add(askAgain)
	}
}

// Entity tags are made from the times of files if these are usable, unless all tags are made
// from the content.
func TestDigestsOfTimesThatSayNothing(t *testing.T) {
	d := newDigesting(t, false)
	for _, sec := range []int64{0, 1, 315532800} {
		content := []byte{byte(sec)}
		d.write("a.txt", content, time.Unix(sec, 0))
		d.has("set", proto.Codings{}, content, 0)
	}
	d.write("a.txt", []byte("x"), time.Unix(1.7e9, 0))
	f, _ := d.Open([]byte("/a.txt"), proto.Codings{}, fullAccess())
	if sum, tagged := f.Digest(); sum != nil || tagged {
		t.Errorf("digest %x, tagged %v of a file with a time", sum, tagged)
	}
	f.Close()
}

// A precompressed file has its own digest. So has a copy, which keeps it when its use is noted.
func TestDigestsOfCodings(t *testing.T) {
	d := newDigesting(t, true)
	gz := accepting(t, "gzip")
	plain := bytes.Repeat([]byte("a"), 5000)
	st := d.write("a.txt", plain, time.Unix(1.7e9, 0))
	d.Copies = NewCopies(d.Digests.dir, nil)
	copied := bytes.Repeat([]byte("copy"), 100)
	path := filepath.Join(d.cache, CopyName(&st, proto.Gzip))
	if err := os.WriteFile(path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	d.has("a small copy", gz, copied, 0)
	d.has("as it is", proto.Codings{}, plain, 0)

	copied = bytes.Repeat([]byte("copy"), 4000)
	st = d.write("a.txt", bytes.Repeat([]byte("a"), 50_000), time.Unix(1.7e9, 0))
	path = filepath.Join(d.cache, CopyName(&st, proto.Gzip))
	if err := os.WriteFile(path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	d.has("a large copy", gz, nil, 1)
	if !d.asked[0] {
		t.Error("not requested as the digest of a copy")
	}
	if err := os.Chtimes(path, d.now, time.Unix(1.7e9, 0)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	d.make(st, copied, true)
	if err := os.Chtimes(path, d.now, time.Unix(st.Mtim.Sec, st.Mtim.Nsec)); err != nil {
		t.Fatal(err)
	}
	d.has("made, and used", gz, copied, 0)
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	d.now = time.Unix(st.Ctim.Unix())
	f := &File{fd: -1, size: st.Size, stamp: stampOf(&st), copied: true}
	d.digest(f)
	d.compare("just used", f, copied)
	d.now = d.now.Add(time.Minute)

	sidecar := []byte("sidecar")
	d.write("a.txt.gz", sidecar, time.Unix(1.7e9, 0))
	d.has("precompressed", gz, sidecar, 0)
}

// The file cache gets a digest at its next check of the file. After that nothing searches for it.
func TestDigestIsCached(t *testing.T) {
	d := newDigesting(t, true)
	content := bytes.Repeat([]byte("a"), 2*maxAtOnce)
	st := d.write("a.txt", content, time.Unix(1.7e9, 0))
	cache := NewCache(d.Root, time.Second, 100)
	defer cache.Close()
	access := fullAccess()
	has := func(what string, want []byte) {
		t.Helper()
		f, status := cache.Open([]byte("/a.txt"), proto.Codings{}, access)
		if status != proto.StatusOK {
			t.Fatal(status)
		}
		d.compare(what, f, want)
		f.Close()
	}
	has("not made", nil)
	d.make(st, content, false)
	has("made", nil)
	d.now = d.now.Add(time.Second)
	has("looked for", content)
	if err := os.RemoveAll(d.cache); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(time.Second)
	has("remembered", content)
	if n := testing.AllocsPerRun(100, func() {
		f, _ := cache.Open([]byte("/a.txt"), proto.Codings{}, access)
		f.Digest()
		f.Close()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
