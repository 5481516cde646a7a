// Package scoreboard is memory that the master shares with its workers: a row
// for each worker process, in which that process alone counts and which the
// master reads at any moment (see docs/observe.md).
//
// It is one memfd. A row begins at a multiple of 1 MiB, so that a worker maps
// its own row and no other on every page size; what nobody has touched takes
// no memory. When a process has ended, the master adds its row to what the
// slot's earlier processes have done: no counter ever goes back.
package scoreboard

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Layout is the number of this layout of a row. Programs with another one
// cannot read each other's rows.
const Layout = 1

// RingSize is how many bytes of a row are for lines of the access log.
const RingSize = 512 << 10

const (
	stride  = 1 << 20
	ringAt  = 64 << 10 // a multiple of every page size
	maxRows = 8192
)

// A row has to end where its ring begins.
const _ = uint(ringAt - unsafe.Sizeof(Row{}))

// Seat is a mapped row.
type Seat struct {
	*Row
	Ring []byte // RingSize bytes
	mem  []byte
}

// Attach maps one row, from 0, of the board with this descriptor, which stays
// the caller's.
func Attach(fd, row int) (*Seat, error) {
	if row < 0 || row >= maxRows {
		return nil, fmt.Errorf("map row %d of the scoreboard: there is no such row", row)
	}
	mem, err := unix.Mmap(fd, int64(row)*stride, ringAt+RingSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map row %d of the scoreboard: %w", row, err)
	}
	return &Seat{Row: (*Row)(unsafe.Pointer(unsafe.SliceData(mem))), Ring: mem[ringAt:], mem: mem}, nil
}

// Close unmaps the row, which must not be touched any more.
func (s *Seat) Close() error { return unix.Munmap(s.mem) }

// Board is the master's side. Its methods may be called from any goroutine.
type Board struct {
	fd int

	mu    sync.Mutex
	seats map[int]taken // by row
	free  []int         // rows below next that nobody has
	next  int           // rows that have been used so far
	past  map[int]*Totals
}

type taken struct {
	*Seat
	slot int
}

// New makes an empty board.
func New() (*Board, error) {
	fd, err := unix.MemfdCreate("phalanx-scoreboard", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make the scoreboard: %w", err)
	}
	// A file that became shorter would kill whoever touches what is gone.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		return nil, errors.Join(fmt.Errorf("seal the scoreboard: %w", err), unix.Close(fd))
	}
	return &Board{fd: fd, seats: make(map[int]taken), past: make(map[int]*Totals)}, nil
}

// Descriptor is the board's, which stays its own.
func (b *Board) Descriptor() int { return b.fd }

// Open takes a row, emptied, for a new process of a slot.
func (b *Board) Open(slot int) (row int, seat *Seat, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	row = b.next
	if n := len(b.free); n > 0 {
		row = b.free[n-1]
	}
	if row >= maxRows {
		return -1, nil, fmt.Errorf("scoreboard: all %d rows are taken", maxRows)
	}
	if row == b.next {
		if err := unix.Ftruncate(b.fd, int64(row+1)*stride); err != nil {
			return -1, nil, fmt.Errorf("make row %d of the scoreboard: %w", row, err)
		}
	} else if err := b.empty(row); err != nil {
		return -1, nil, err
	}
	if seat, err = Attach(b.fd, row); err != nil {
		return -1, nil, err
	}
	if row == b.next {
		b.next++
	} else {
		b.free = b.free[:len(b.free)-1]
	}
	b.seats[row] = taken{seat, slot}
	return row, seat, nil
}

// empty gives the memory of a row back to the kernel: it reads as zeros then.
func (b *Board) empty(row int) error {
	const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	if err := unix.Fallocate(b.fd, mode, int64(row)*stride, stride); err != nil {
		return fmt.Errorf("empty row %d of the scoreboard: %w", row, err)
	}
	return nil
}

// Close adds the row of a process that has ended to the past of its slot, and
// frees it.
func (b *Board) Close(row int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.seats[row]
	if !ok {
		return fmt.Errorf("scoreboard: row %d is not taken", row)
	}
	t := s.Read()
	b.pastOf(s.slot).Add(&t)
	delete(b.seats, row)
	b.free = append(b.free, row)
	return s.Seat.Close()
}

func (b *Board) pastOf(slot int) *Totals {
	if b.past[slot] == nil {
		b.past[slot] = new(Totals)
	}
	return b.past[slot]
}

// Rings calls attach with the ring of each row that is taken.
func (b *Board) Rings(attach func(row int, ring []byte) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for row, s := range b.seats {
		if err := attach(row, s.Ring); err != nil {
			return err
		}
	}
	return nil
}

// Sight is what the row of a process says beside its counters.
type Sight struct {
	Active, Idle int
	Beat         int64 // on CLOCK_MONOTONIC, in nanoseconds; 0: it has not looked yet
	Busy         bool  // it was at work on Last
	Last, Oldest []byte
	LastAt       int64 // when they began
	OldestAt     int64
}

// Look looks at the row of a process that has not ended; false if there is none.
func (b *Board) Look(row int) (Sight, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.seats[row]
	if !ok {
		return Sight{}, false
	}
	v := Sight{Active: int(s.Active.Load()), Idle: int(s.Idle.Load()), Beat: s.Beat.Load(), Busy: s.Busy.Load()}
	v.Last, v.LastAt = s.Last.Get()
	v.Oldest, v.OldestAt = s.Oldest.Get()
	return v, true
}

// Reading is all counters at one moment.
type Reading struct {
	Slots map[int]*Totals // of every slot that there has ever been
	Rows  map[int]*Totals // of the processes that have not ended
}

// Read reads all counters: each process counts once, whether it has just ended
// or not.
func (b *Board) Read() Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := Reading{Slots: make(map[int]*Totals), Rows: make(map[int]*Totals)}
	for slot, past := range b.past {
		sum := *past
		r.Slots[slot] = &sum
	}
	for row, s := range b.seats {
		t := s.Read()
		r.Rows[row] = &t
		if r.Slots[s.slot] == nil {
			r.Slots[s.slot] = new(Totals)
		}
		r.Slots[s.slot].Add(&t)
	}
	return r
}

// State is a board between two programs of one process.
type State struct {
	Layout int
	Fd     int
	Rows   map[int]int     // the slot of each row that is taken
	Next   int             // rows that have been used so far: the memfd cannot become shorter
	Past   map[int]*Totals // of processes that have ended
	Now    map[int]*Totals // of all: for a program that cannot read the rows
}

// State returns what [Resume] needs.
func (b *Board) State() State {
	now := b.Read().Slots
	b.mu.Lock()
	defer b.mu.Unlock()
	s := State{Layout: Layout, Fd: b.fd, Next: b.next, Rows: make(map[int]int), Past: maps.Clone(b.past), Now: now}
	for row, t := range b.seats {
		s.Rows[row] = t.slot
	}
	return s
}

// Resume goes on with a board. One whose rows this program cannot read is left
// to the workers that have it: what they have counted so far is kept, and the
// rows of that board mean nothing any longer.
func Resume(s State) (*Board, error) {
	if s.Layout != Layout {
		b, err := New()
		if err == nil {
			b.past = s.Now
			if b.past == nil {
				b.past = make(map[int]*Totals)
			}
		}
		return b, errors.Join(err, unix.Close(s.Fd))
	}
	unix.CloseOnExec(s.Fd)
	b := &Board{fd: s.Fd, seats: make(map[int]taken), next: s.Next, past: s.Past}
	if b.past == nil {
		b.past = make(map[int]*Totals)
	}
	for row, slot := range s.Rows {
		seat, err := Attach(b.fd, row)
		if err != nil {
			return nil, err
		}
		b.seats[row] = taken{seat, slot}
		b.next = max(b.next, row+1)
	}
	for row := range b.next {
		if _, ok := b.seats[row]; !ok {
			b.free = append(b.free, row)
		}
	}
	return b, nil
}
