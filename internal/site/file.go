package site

import (
	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// File is an open regular file. Its metadata was read from its descriptor.
type File struct {
	root         *Root
	fd           int
	size         int64
	modified     int64
	contentType  string
	coding       proto.Coding
	varies       bool
	cacheControl string
}

// Fd returns the file's descriptor, open for reading until Close.
func (f *File) Fd() int { return f.fd }

// Size returns the size in bytes when the file was opened.
func (f *File) Size() int64 { return f.size }

// Modified returns the modification time in nanoseconds since 1970.
func (f *File) Modified() int64 { return f.modified }

// ContentType returns the media type, for text with its charset.
func (f *File) ContentType() string { return f.contentType }

// Coding returns the content coding of the file's bytes.
func (f *File) Coding() proto.Coding { return f.coding }

// Varies reports whether the same path may be answered with another coding.
func (f *File) Varies() bool { return f.varies }

// Close closes the file, which must not be used after it.
func (f *File) Close() {
	unix.Close(f.fd)
	*f = File{root: f.root, fd: -1}
	f.root.pool.Put(f)
}

// CacheControl returns what the rule for the file's name says, or nothing.
func (f *File) CacheControl() string { return f.cacheControl }

// describe sets what follows from the name.
func (f *File) describe(name []byte, rules []Rule) {
	f.contentType, f.varies = contentType(name)
	if len(rules) > 0 {
		f.cacheControl = ruleFor(rules, string(name))
	}
}
