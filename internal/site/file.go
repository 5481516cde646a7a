package site

import (
	"io"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// File is an open regular file. Its metadata was read from its descriptor.
type File struct {
	root         *Root
	fd           int
	size         int64
	modified     proto.Time
	settled      bool
	stamp        stamp
	users        int    // number of users; the last Close closes it
	body         []byte // the whole file, if it is held in memory; then fd may be -1
	contentType  string
	coding       proto.Coding
	varies       bool // the path may have a response in another coding
	fallback     bool // it is the fallback for a path that does not exist
	copied       bool // it is a compressed copy from the cache directory
	cacheControl string
	entity       proto.Entity

	tagged bool         // its entity tag is made of its content
	summed bool         // sum is known
	sum    proto.Digest // of the content
}

// stamp identifies a state of a file, among all states of all files.
type stamp struct {
	dev, ino          uint64
	size              int64
	modified, changed proto.Time
}

func stampOf(st *unix.Stat_t) stamp {
	return stamp{uint64(st.Dev), st.Ino, st.Size, timeOf(st.Mtim), timeOf(st.Ctim)}
}

func timeOf(ts unix.Timespec) proto.Time { return proto.Time{Sec: ts.Sec, Nsec: ts.Nsec} }

// latest returns the later of the two times. The modification time alone would not do: it
// can be set to any value.
func (s stamp) latest() proto.Time {
	if s.modified.Before(s.changed) {
		return s.changed
	}
	return s.modified
}

// Fd returns the file's descriptor, open for reading until Close, or -1 if only its body is
// held, in memory.
func (f *File) Fd() int { return f.fd }

// Body returns the whole file, or nil if it is not held in memory.
func (f *File) Body() []byte { return f.body }

// Size returns the size in bytes when the file was opened.
func (f *File) Size() int64 { return f.size }

// Modified returns the modification time.
func (f *File) Modified() proto.Time { return f.modified }

// Settled reports whether any change since the file was opened gives it another modification
// time.
func (f *File) Settled() bool { return f.settled }

// ContentType returns the media type, for text with its charset.
func (f *File) ContentType() string { return f.contentType }

// Coding returns the content coding of the file's bytes.
func (f *File) Coding() proto.Coding { return f.coding }

// Request fields that select among responses for a path.
const (
	varyCoding     = "Accept-Encoding"
	varyNavigation = "Accept, Sec-Fetch-Mode, Sec-Fetch-Dest" // see [proto.Navigates]
)

// Vary returns the request fields that select among responses for the path; empty: none.
func (f *File) Vary() string {
	switch {
	case f.varies && f.fallback:
		return varyCoding + ", " + varyNavigation
	case f.varies:
		return varyCoding
	case f.fallback:
		return varyNavigation
	}
	return ""
}

// Copied reports whether the file is a compressed copy from the cache directory.
func (f *File) Copied() bool { return f.copied }

// Digest returns the SHA-256 digest of the content, nil if it is not known. tagged means that
// the entity tag is made of it, or will be.
func (f *File) Digest() (sum []byte, tagged bool) {
	if f.summed {
		sum = f.sum[:]
	}
	return sum, f.tagged
}

// Close ends one use of the file. The user must not use it afterwards.
func (f *File) Close() {
	if f.users--; f.users > 0 {
		return
	}
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
	f.entity.Reset()
	*f = File{root: f.root, fd: -1, entity: f.entity}
	f.root.pool.Put(f)
}

// CacheControl returns the value of the rule for the file's name, "" if there is none.
func (f *File) CacheControl() string { return f.cacheControl }

// Entity returns the cache of the file's header fields, filled by the connection.
func (f *File) Entity() *proto.Entity { return &f.entity }

// describe sets the properties that depend on the name.
func (f *File) describe(name []byte, rules []Rule) {
	t, typeRule := f.root.typeOf(name)
	f.contentType, f.varies, f.coding = t.kind, t.compressible, t.coding
	var rule *Rule
	if len(rules) > 0 {
		if rule = ruleFor(rules, string(name)); rule != nil {
			f.cacheControl = rule.Value
		}
	}
	f.root.described(name, f, typeRule, rule)
}

// changed reports whether the file has changed since it was opened.
func (f *File) changed() bool {
	var st unix.Stat_t
	return fstat(f.fd, &st) != nil || stampOf(&st) != f.stamp
}

// readAll reads the beginning of a file, and returns the number of bytes; -1 after an error.
func readAll(fd int, b []byte) int {
	n, err := io.ReadFull(&content{fd: fd}, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return -1
	}
	return n
}

// content reads a regular file from beginning to end. It is not an *os.File, for which the standard
// library would try other system calls, which do not help here.
type content struct {
	fd  int
	off int64
}

func (c *content) Read(p []byte) (int, error) {
	for {
		n, err := unix.Pread(c.fd, p, c.off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		c.off += int64(n)
		return n, nil
	}
}
