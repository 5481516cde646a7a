package eventloop

import (
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

// begun is a file that another worker has begun to send: only its descriptor has been
// handed over.
type begun struct {
	l      *Loop
	id     fileID
	fd     int
	users  int // connections that it is sent on
	entity proto.Entity
}

// fileID identifies a file on this machine.
type fileID struct{ dev, ino uint64 }

// fileOf returns the file of another worker's descriptor, which it takes over. Connections
// that are sent the same file share one: there may be fewer descriptors than connections.
func (l *Loop) fileOf(fd int) *begun {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &begun{l: l, fd: fd, users: 1} // its zero id is that of no file
	}
	id := fileID{st.Dev, st.Ino}
	if known := l.begun[id]; known != nil {
		unix.Close(fd)
		known.users++
		return known
	}
	f := &begun{l: l, id: id, fd: fd, users: 1}
	if l.begun == nil {
		l.begun = make(map[fileID]*begun)
	}
	l.begun[id] = f
	return f
}

func (f *begun) Fd() int                { return f.fd }
func (f *begun) Body() []byte           { return nil }
func (f *begun) Size() int64            { return 0 }
func (f *begun) Modified() proto.Time   { return proto.Time{} }
func (f *begun) Settled() bool          { return false }
func (f *begun) ContentType() string    { return "" }
func (f *begun) Coding() proto.Coding   { return proto.Identity }
func (f *begun) Copied() bool           { return false }
func (f *begun) Vary() string           { return "" }
func (f *begun) Digest() ([]byte, bool) { return nil, false }
func (f *begun) CacheControl() string   { return "" }
func (f *begun) Entity() *proto.Entity  { return &f.entity }

func (f *begun) Close() {
	if f.users--; f.users == 0 {
		delete(f.l.begun, f.id)
		unix.Close(f.fd)
	}
}

var _ conn.File = (*begun)(nil)
