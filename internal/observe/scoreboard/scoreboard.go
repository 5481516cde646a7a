// Package scoreboard is shared memory of the master and its workers: a row of
// counters for each worker process, written only by that process and read by the
// master at any time (docs/observe.md).
//
// It is one memfd with room for all rows, whose size is sealed: a corrupted worker
// cannot take memory away from the others or from later rows. A row begins at a
// multiple of 1 MiB, so that a worker can map just its own row with any page size;
// untouched pages take no memory. When a process has exited, the master adds its row
// to the totals of its slot: no counter ever decreases.
package scoreboard

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Layout is the version of the layout of a row. Programs with different layouts
// cannot read each other's rows.
const Layout = 1

// RingSize is the size in bytes of the access log ring in a row.
const RingSize = 512 << 10

const (
	stride  = 1 << 20
	ringAt  = 64 << 10 // a multiple of every page size
	maxRows = 8192
)

// The counters must fit in front of the ring.
const _ = uint(ringAt - unsafe.Sizeof(Row{}))

// Mapping is a mapped row.
type Mapping struct {
	*Row
	Ring []byte // RingSize bytes
	mem  []byte
}

// Attach maps one row, counted from 0, of the scoreboard with descriptor fd, which the
// caller still owns.
func Attach(fd, row int) (*Mapping, error) {
	if row < 0 || row >= maxRows {
		return nil, fmt.Errorf("map row %d of the scoreboard: no such row", row)
	}
	mem, err := unix.Mmap(fd, int64(row)*stride, ringAt+RingSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map row %d of the scoreboard: %w", row, err)
	}
	return &Mapping{Row: (*Row)(unsafe.Pointer(unsafe.SliceData(mem))), Ring: mem[ringAt:], mem: mem}, nil
}

// Close unmaps the row, which must not be accessed afterwards.
func (m *Mapping) Close() error { return unix.Munmap(m.mem) }

// Board is the master's side. Its methods are safe for concurrent use.
type Board struct {
	fd   int
	rows int // capacity

	mu    sync.Mutex
	taken map[int]taken // by row
	past  map[int]*Totals

	sites     []string // configured; see Configure
	pastSites map[string]*SiteTotals
}

type taken struct {
	*Mapping
	slot  int
	sites []string // that it counts, by number
}

// New creates an empty scoreboard.
func New() (*Board, error) { return create(nil) }

// create creates an empty Board with the totals of processes that have exited.
func create(past map[int]*Totals) (*Board, error) {
	fd, err := unix.MemfdCreate("phalanx-scoreboard", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create the scoreboard: %w", err)
	}
	rows, err := seal(fd)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return boardOf(fd, rows, past), nil
}

func boardOf(fd, rows int, past map[int]*Totals) *Board {
	if past == nil {
		past = make(map[int]*Totals)
	}
	return &Board{fd: fd, rows: rows, taken: make(map[int]taken), past: past, pastSites: make(map[string]*SiteTotals)}
}

// seal extends the memfd to maxRows rows, or fewer if RLIMIT_FSIZE is lower, and seals its
// size: if a worker shortened it, an access beyond its end would raise SIGBUS.
func seal(fd int) (rows int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("resize the scoreboard: %w", err)
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	now, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err == nil && now&seals != seals { // new, or made by an earlier version
		var limit unix.Rlimit // exceeding it raises SIGXFSZ
		if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			return 0, err
		}
		st.Size = max(st.Size, int64(min(maxRows, limit.Cur/stride)*stride))
		if err := unix.Ftruncate(fd, st.Size); err != nil {
			return 0, err
		}
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	return int(min(maxRows, st.Size/stride)), err
}

// Descriptor returns the descriptor of the memfd, which the board still owns.
func (b *Board) Descriptor() int { return b.fd }

// Open allocates a zeroed row for a new process of a slot.
func (b *Board) Open(slot int) (row int, mapped *Mapping, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for row = 0; b.taken[row].Mapping != nil; row++ {
	}
	if row >= b.rows {
		return -1, nil, fmt.Errorf("scoreboard: all %d rows are taken", b.rows)
	}
	// A row never used before is emptied too: a corrupted worker may have written to it.
	if err := b.empty(row); err != nil {
		return -1, nil, err
	}
	if mapped, err = Attach(b.fd, row); err != nil {
		return -1, nil, err
	}
	b.taken[row] = taken{Mapping: mapped, slot: slot}
	return row, mapped, nil
}

// empty returns the memory of a row to the kernel; it then reads as zeros.
func (b *Board) empty(row int) error {
	const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	if err := unix.Fallocate(b.fd, mode, int64(row)*stride, stride); err != nil {
		return fmt.Errorf("empty row %d of the scoreboard: %w", row, err)
	}
	return nil
}

// Close adds the row of an exited process to the totals of its slot, and frees it.
func (b *Board) Close(row int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.taken[row]
	if !ok {
		return fmt.Errorf("scoreboard: row %d is not taken", row)
	}
	t := s.Read()
	b.pastOf(s.slot).Add(&t)
	b.keepSites(s)
	delete(b.taken, row)
	return s.Mapping.Close()
}

func (b *Board) pastOf(slot int) *Totals {
	if b.past[slot] == nil {
		b.past[slot] = new(Totals)
	}
	return b.past[slot]
}

// Rings calls attach with the ring of each row in use.
func (b *Board) Rings(attach func(row int, ring []byte) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for row, s := range b.taken {
		if err := attach(row, s.Ring); err != nil {
			return err
		}
	}
	return nil
}

// Activity is the state of a worker in its row, besides the counters.
type Activity struct {
	Active, Idle int
	Streams      int   // open on HTTP/2 connections
	Beat         int64 // last heartbeat on CLOCK_MONOTONIC in nanoseconds; 0: none yet
	Busy         bool  // the worker is processing Last
	Stale        int   // sites of which it serves an earlier release because the new one cannot be served
	Last, Oldest []byte
	OldestAt     int64 // start of Oldest on CLOCK_MONOTONIC in nanoseconds
}

// Look returns the activity of a running process; false if the row is free.
func (b *Board) Look(row int) (Activity, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.taken[row]
	if !ok {
		return Activity{}, false
	}
	v := Activity{Active: int(s.Active.Load()), Idle: int(s.Idle.Load()), Streams: int(s.Streams.Load()), Beat: s.Beat.Load(), Busy: s.Busy.Load(), Stale: int(s.Stale.Load())}
	v.Last, _ = s.Last.Get()
	v.Oldest, v.OldestAt = s.Oldest.Get()
	return v, true
}

// Reading is all counters at one moment.
type Reading struct {
	Slots map[int]*Totals // of all slots, former ones included
	Rows  map[int]*Totals // of running processes
}

// Read reads all counters. Each process is counted once, whether it has just exited
// or not.
func (b *Board) Read() Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := Reading{Slots: make(map[int]*Totals), Rows: make(map[int]*Totals)}
	for slot, past := range b.past {
		sum := *past
		r.Slots[slot] = &sum
	}
	for row, s := range b.taken {
		t := s.Read()
		r.Rows[row] = &t
		if r.Slots[s.slot] == nil {
			r.Slots[s.slot] = new(Totals)
		}
		r.Slots[s.slot].Add(&t)
	}
	return r
}

// State carries a scoreboard through an upgrade.
type State struct {
	Layout int
	Fd     int
	Rows   map[int]int     // the slot of each row in use
	Next   int             // number of rows that the memfd has room for
	Past   map[int]*Totals // of exited processes
	Now    map[int]*Totals // of all processes, for a program that cannot read the rows

	Sites     []string         // configured
	RowSites  map[int][]string // that each process counts, by row
	PastSites map[string]*SiteTotals
}

// State returns what [Resume] needs.
func (b *Board) State() State {
	now := b.Read().Slots
	b.mu.Lock()
	defer b.mu.Unlock()
	s := State{Layout: Layout, Fd: b.fd, Next: b.rows, Rows: make(map[int]int), Past: maps.Clone(b.past), Now: now}
	for row, t := range b.taken {
		s.Rows[row] = t.slot
	}
	b.siteState(&s)
	return s
}

// Resume continues with a scoreboard after an upgrade. If its layout is unknown, the
// old scoreboard is left to the workers that use it: their counts so far are kept,
// later ones are lost.
func Resume(s State) (*Board, error) {
	if s.Layout != Layout {
		b, err := create(s.Now)
		return b, errors.Join(err, unix.Close(s.Fd))
	}
	unix.CloseOnExec(s.Fd)
	rows, err := seal(s.Fd)
	if err != nil {
		return nil, err
	}
	b := boardOf(s.Fd, rows, s.Past)
	for row, slot := range s.Rows {
		mapped, err := Attach(b.fd, row)
		if err != nil {
			return nil, err
		}
		b.taken[row] = taken{Mapping: mapped, slot: slot}
	}
	b.resumeSites(s)
	return b, nil
}
