package site

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// archived reads a whole archive, as a connection does.
func archived(t *testing.T, r *Root, path, format string) ([]byte, error) {
	t.Helper()
	return archivedFor(t, r, path, format, new(proto.Access))
}

// archivedFor is archived for a request with credentials.
func archivedFor(t *testing.T, r *Root, path, format string, access *proto.Access) ([]byte, error) {
	t.Helper()
	a, status := r.Archive([]byte(path), format, access)
	if status != proto.StatusOK {
		t.Fatalf("archive of %s: %d", path, status)
	}
	defer a.Close()
	var text []byte
	for {
		n := len(text)
		var done bool
		var err error
		if text, done, err = a.Append(text); done || err != nil {
			return text, err
		}
		ready := make(chan struct{})
		if len(text) == n && a.Await(func() { close(ready) }) {
			<-ready
		}
	}
}

// contentOf returns the entries of an archive: "name/" for directories, "name: text" for files.
func contentOf(t *testing.T, text []byte, format string) (all []string) {
	t.Helper()
	if format == "zip" {
		z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, entryText(t, f.Name, in))
		}
		return all
	}
	in := io.Reader(bytes.NewReader(text))
	if format == "tar.gz" {
		var err error
		if in, err = gzip.NewReader(in); err != nil {
			t.Fatal(err)
		}
	}
	for files := tar.NewReader(in); ; {
		h, err := files.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Uname != "" || h.Mode&0o7000 != 0 {
			t.Errorf("%s has owner %d %q and mode %o", h.Name, h.Uid, h.Uname, h.Mode)
		}
		all = append(all, entryText(t, h.Name, files))
	}
}

func entryText(t *testing.T, name string, in io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, "/") {
		return name
	}
	return name + ": " + string(text)
}

// The dates of a zip file are within the years that it can have.
func TestZipDates(t *testing.T) {
	dir := planted(t, "old: image", "new: error")
	for name, when := range map[string]time.Time{"old": time.Unix(1, 0), "new": time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	bothWays(t, dir, func(t *testing.T, r *Root) {
		r.policy.Archive = true
		text, err := archived(t, r, "/", "zip")
		if err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			year, want := 1980+int(f.ModifiedDate>>9), map[string]int{"old": 1980, "new": 2107}[filepath.Base(f.Name)]
			if want != 0 && year != want {
				t.Errorf("%s is of %d, want %d", f.Name, year, want)
			}
		}
	})
}

// An archive has what the server serves, and nothing else: no hidden name, nothing outside the
// root, no special file, nothing unreadable, and no loop.
func TestArchiveContent(t *testing.T) {
	outside := planted(t, "secret: no", "dir/")
	dir := planted(t, "sub/", "sub/deep/", "sub/.hidden/", "sub/empty/", "other/", "sub/a.txt: text", "sub/b.bin: data", "sub/é \xff: odd",
		"sub/deep/c: deep", "sub/.secret: no", "sub/.hidden/x: no", "other/d: elsewhere",
		"sub/file -> a.txt", "sub/up -> ../sub", "sub/self -> .", "sub/to -> ../other", "sub/again -> ../other", "sub/down -> deep",
		"sub/out -> "+outside+"/secret", "sub/outdir -> ../../"+filepath.Base(outside)+"/dir", "sub/nothing -> nope")
	if err := unix.Mkfifo(dir+"/sub/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{"sub/", "sub/a.txt: text", "sub/again/", "sub/again/d: elsewhere", "sub/b.bin: data", "sub/deep/", "sub/deep/c: deep", "sub/empty/", "sub/file: text", "sub/é \xff: odd"}
	bothWays(t, dir, func(t *testing.T, r *Root) {
		r.policy.Archive = true
		for _, format := range []string{"zip", "tar", "tar.gz"} {
			text, err := archived(t, r, "/sub/", format)
			if err != nil {
				t.Fatal(err)
			}
			got := contentOf(t, text, format)
			for i, line := range got { // whichever of two links to one directory comes first
				got[i] = strings.Replace(line, "sub/to/", "sub/again/", 1)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s has\n%q\nwant\n%q", format, got, want)
			}
		}
		r.policy.Dotfiles = true
		if text, err := archived(t, r, "/sub/", "tar"); err != nil || !slices.Contains(contentOf(t, text, "tar"), "sub/.secret: no") {
			t.Error("dotfiles are served, but not in the archive")
		}
	})
}

func TestArchiveOfShares(t *testing.T) {
	r := sharesOf(t, "movie.mkv", "photos", "link.iso")
	r.policy.Archive = true
	text, err := archived(t, r, "/", "tar")
	if err != nil {
		t.Fatal(err)
	}
	got := contentOf(t, text, "tar")
	slices.Sort(got)
	want := []string{"files/link.iso: elsewhere/real.iso", "files/movie.mkv: movie.mkv", "files/photos/", "files/photos/a.jpg: photos/a.jpg", "files/photos/deep/", "files/photos/deep/b.jpg: photos/deep/b.jpg"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestArchiveStatus(t *testing.T) {
	dir := planted(t, "sub/", ".hidden/", "file: text", "out -> /etc")
	r := openRoot(t, dir)
	if _, status := r.Archive([]byte("/sub/"), "zip", new(proto.Access)); status != proto.StatusForbidden {
		t.Errorf("without --archive: %d", status)
	}
	r.policy.Archive, r.policy.Name = true, "www"
	for path, want := range map[string]proto.Status{"/sub/": 200, "/": 200, "": 200, "/sub/.": 200, "/sub": 403, "/nope/": 404, "/file/": 404, "/.hidden/": 404, "/out/": 403, "/../": 404, "/%zz/": 400} {
		a, status := r.Archive([]byte(path), "tar.gz", new(proto.Access))
		if status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
		if status == proto.StatusOK {
			if name := a.FileName(); name != "sub.tar.gz" && name != "www.tar.gz" {
				t.Errorf("%s is saved as %s", path, name)
			}
			a.Close()
			a.Close()
		}
	}
	// The number of archives at once is limited. One that has ended makes room.
	var all []*Archive
	for range maxArchives {
		a, _ := r.Archive([]byte("/"), "zip", new(proto.Access))
		all = append(all, a)
	}
	if _, status := r.Archive([]byte("/"), "zip", new(proto.Access)); status != proto.StatusServiceUnavailable {
		t.Errorf("above the limit: %d", status)
	}
	for _, a := range all {
		a.Close()
	}
	if n := r.archives.Load(); n != 0 {
		t.Errorf("%d archives are under way", n)
	}
}

// A slow client slows the walk down, and one that disconnects ends it.
func TestArchiveWaitsForReader(t *testing.T) {
	dir := planted(t, "big: "+string(make([]byte, 8<<20)))
	r := openRoot(t, dir)
	r.policy.Archive = true
	a, _ := r.Archive([]byte("/"), "tar", new(proto.Access))
	if _, _, err := a.Append(nil); err != nil {
		t.Fatal(err)
	}
	held := func() (bytes, room int) {
		a.spool.mu.Lock()
		defer a.spool.mu.Unlock()
		return a.spool.waiting(), cap(a.spool.held)
	}
	bytes, _ := held()
	for deadline := time.Now().Add(time.Minute); bytes < spoolMax; bytes, _ = held() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are held, want %d", bytes, spoolMax)
		}
		time.Sleep(time.Millisecond)
	}
	piece, _, _ := a.Append(nil)
	if bytes, room := held(); len(piece) != spoolPiece || bytes > spoolMax || room > 2*spoolMax {
		t.Errorf("%d bytes at once, %d held in %d", len(piece), bytes, room)
	}
	a.Close()
	done := make(chan struct{})
	go func() { r.making.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the walk has not stopped after its reader closed")
	}
	if r.archives.Load() != 0 || r.listings.held.Load() != 0 {
		t.Errorf("%d archives, %d bytes held", r.archives.Load(), r.listings.held.Load())
	}
}

// A waiting reader is called exactly once: after a write, at the end, or by Close.
func TestSpoolWakes(t *testing.T) {
	for name, end := range map[string]func(s *spool){
		"enough": func(s *spool) { s.Write(make([]byte, spoolEnter)); s.end(nil) },
		"end":    func(s *spool) { s.Write([]byte("x")); s.end(nil) },
		"close":  func(s *spool) { s.close(); s.end(errReaderClosed) },
	} {
		s := newSpool()
		var calls atomic.Int32
		if !s.await(func() { calls.Add(1) }) {
			t.Fatal("the archive does not wait")
		}
		if end(s); calls.Load() != 1 || s.await(func() {}) {
			t.Errorf("%s: called %d times", name, calls.Load())
		}
	}
}

// A file that shrinks ends a tar archive, whose header has its size. One that grows is cut at
// its former size.
func TestArchiveOfChangingFile(t *testing.T) {
	var st unix.Stat_t
	st.Mode, st.Size = unix.S_IFREG, 10
	for format, want := range map[string]error{"tar": errShorter, "tar.gz": errShorter, "zip": nil} {
		p := newPacker(format, io.Discard)
		if err := p.file("f", &st, strings.NewReader("short")); err != want {
			t.Errorf("%s: %v, want %v", format, err, want)
		}
		var out bytes.Buffer
		p = newPacker(format, &out)
		if err := p.file("f", &st, strings.NewReader("longer than ten")); err != nil || p.close() != nil {
			t.Errorf("%s: %v", format, err)
		}
		if got := contentOf(t, out.Bytes(), format); !slices.Equal(got, []string{"f: longer tha"}) {
			t.Errorf("%s: %q", format, got)
		}
	}
}

// A zip archive keeps a record of every file until its end. The sum is limited for all
// archives together, and the response is truncated at the limit.
func TestArchiveIsBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range 300 {
		plant(t, dir, fmt.Sprintf("file%d: x", i))
	}
	r := openRoot(t, dir)
	r.policy.Archive = true
	r.listings.max = 100 << 10
	if _, err := archived(t, r, "/", "zip"); err != errMany {
		t.Errorf("zip: %v, want %v", err, errMany)
	}
	if _, err := archived(t, r, "/", "tar"); err != nil {
		t.Errorf("tar: %v", err)
	}
	r.making.Wait()
	if n := r.listings.held.Load(); n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}
