package eventloop

import (
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

// A file whose bytes are not in memory would stop the event loop, and with it
// every connection of the worker, until the disk has brought them. So the loop
// asks first (site.Resident, which never waits for a disk), and a few goroutines do
// the waiting.

const (
	fetchAhead   = 2 << 20 // bytes read from the disk at once
	fetchWorkers = 4       // goroutines that wait for the disk

	// The loop asks about a file up to the next multiple of residentWindow. If that part is
	// in memory, the answer is trusted for residentFor.
	residentWindow = 1 << 20
	residentFor    = 100 * time.Millisecond
)

// load reads n bytes at off from the disk into memory, and waits for the first and the
// last of them. It returns the error of a disk that cannot read one of those.
func load(fd int, off, n int64) syscall.Errno {
	unix.Fadvise(fd, off, n, unix.FADV_WILLNEED)
	var b [1]byte
	for _, at := range [2]int64{off, off + n - 1} {
		for {
			_, err := unix.Pread(fd, b[:], at)
			if err == unix.EINTR {
				continue
			}
			if errno, failed := err.(syscall.Errno); failed {
				return errno
			}
			break
		}
	}
	return 0
}

// disk is where peers wait for bytes that are not in memory.
type disk struct {
	resident func(fd int, off, n int64) bool
	load     func(fd int, off, n int64) syscall.Errno
	seen     [64]seen // hashed by descriptor and window

	jobs    chan fetch
	workers sync.WaitGroup
	done    mailbox[done]
}

// done is a peer whose wait is over.
type done struct {
	peer  *peer
	errno syscall.Errno // of a disk that could not read the file
}

// fetch is a peer that waits for a part of a file.
type fetch struct {
	peer   *peer
	fd     int // a duplicate: the peer may end meanwhile
	off, n int64
}

// identity tells files apart. The descriptor of a file that has been closed, and its memory, are
// those of the next one.
type identity struct {
	file     conn.File // nil: none
	size     int64
	modified proto.Time
}

func identityOf(f conn.File) identity { return identity{f, f.Size(), f.Modified()} }

// fetched is the part of a file that was last read from the disk for a peer; zero: none.
// The loop does not ask about it again: if memory is short, it could be gone each time.
type fetched struct {
	of       identity
	off, end int64
}

// seen is a part of a file that was in memory a moment ago.
type seen struct {
	of       identity
	off, end int64
	until    time.Duration // when the loop asks again
}

func (b *fetched) holds(of identity, off, n int64) bool {
	return b.of == of && off >= b.off && off+n <= b.end
}

// start makes the goroutines that wait for the disk. The channel holds as many
// jobs as a loop can have peers waiting without its own descriptors running
// out long before, so that sending never blocks in practice; when it is full,
// the loop does the waiting itself.
func (d *disk) start(wake int) {
	d.done.notify(wake)
	d.jobs = make(chan fetch, 1024)
	for range fetchWorkers {
		d.workers.Go(func() {
			for job := range d.jobs {
				errno := d.load(job.fd, job.off, job.n)
				unix.Close(job.fd)
				d.done.put(done{job.peer, errno})
			}
		})
	}
}

func (d *disk) stop() {
	close(d.jobs)
	d.workers.Wait()
	d.done.notify(0)
}

// inMemory reports whether the first n bytes of a segment are in memory.
func (d *disk) inMemory(seg conn.Segment, n int64, now time.Duration) bool {
	fd, of := seg.File.Fd(), identityOf(seg.File)
	s := &d.seen[uint64(seg.Off/residentWindow+int64(fd))%uint64(len(d.seen))]
	if s.of == of && s.off <= seg.Off && seg.Off+n <= s.end && now < s.until {
		return true
	}
	end := min(seg.Off+seg.Len, (seg.Off+n+residentWindow-1)/residentWindow*residentWindow)
	if !d.resident(fd, seg.Off, end-seg.Off) {
		return false
	}
	*s = seen{of, seg.Off, end, now + residentFor}
	return true
}

// await makes a peer wait until the part of its segment that it sends next, limited to most
// bytes, is in memory. It returns false if it is already there, or cannot be waited for.
func (d *disk) await(p *peer, most int64, now time.Duration) bool {
	seg := p.http().Segment()
	fd := seg.File.Fd()
	n := min(seg.Len, most)
	if seg.File.Body() != nil || p.aside != nil && p.aside.fetched.holds(identityOf(seg.File), seg.Off, n) || d.inMemory(seg, n, now) {
		return false
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	select {
	case d.jobs <- fetch{p, own, seg.Off, min(seg.Len, fetchAhead)}:
		p.fetching = true
		p.log.Fetch(true)
		p.beside().fetched = fetched{identityOf(seg.File), seg.Off, seg.Off + min(seg.Len, fetchAhead)}
		return true
	default:
		unix.Close(own)
		return false
	}
}
