package scoreboard

import (
	"testing"

	"golang.org/x/sys/unix"
)

// attacked does to a scoreboard what a hostile worker can do. All of it must have no effect.
func attacked(t *testing.T, b *Board) {
	t.Helper()
	fd := b.Descriptor()
	for _, size := range []int64{0, stride, maxRows*stride - 1, maxRows*stride + 1, 1 << 50} {
		if err := unix.Ftruncate(fd, size); err != unix.EPERM {
			t.Errorf("resize to %d: %v", size, err)
		}
	}
	if err := unix.Fallocate(fd, 0, maxRows*stride, stride); err != unix.EPERM {
		t.Errorf("allocate beyond the last row: %v", err)
	}
	for _, seal := range []int{unix.F_SEAL_WRITE, unix.F_SEAL_FUTURE_WRITE} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seal); err != unix.EPERM {
			t.Errorf("seal %d: %v", seal, err)
		}
	}
	junk := make([]byte, stride)
	for i := range junk {
		junk[i] = 0xff
	}
	for row := range 4 {
		if _, err := unix.Pwrite(fd, junk, int64(row)*stride); err != nil {
			t.Fatal(err)
		}
	}
}

// A hostile worker cannot prevent later workers from getting an empty row, and what it writes
// about itself does no harm to readers.
func TestHostileWorker(t *testing.T) {
	b := newBoard(t)
	row, _ := worker(t, b, 0)
	attacked(t, b)
	b.Read()
	if s, ok := b.Look(row); !ok || s.Last != nil || s.Oldest != nil {
		t.Errorf("last request %q, oldest %q", s.Last, s.Oldest)
	}
	for slot := 1; slot < 4; slot++ {
		_, w := worker(t, b, slot)
		if w.Answered() != 0 || w.Beat.Load() != 0 || w.Ring[0] != 0 || w.Ring[RingSize-1] != 0 {
			t.Errorf("the row of slot %d is not empty", slot)
		}
	}
	if err := b.Close(row); err != nil {
		t.Error(err)
	}
}

// A note with a false length is ignored.
func TestHostileNote(t *testing.T) {
	var n Note
	n.Set([]byte("GET /"), 1)
	n.length = noteSize + 1
	if text, _ := n.Get(); text != nil {
		t.Errorf("%q", text)
	}
}

// A scoreboard of an earlier version, which grew row by row, is protected from such workers
// too once this version continues with it.
func TestResumeUnsealed(t *testing.T) {
	fd, err := unix.MemfdCreate("phalanx-scoreboard", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, 2*stride); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		t.Fatal(err)
	}
	b, err := Resume(State{Layout: Layout, Fd: fd, Next: 2, Rows: map[int]int{1: 7}})
	if err != nil {
		t.Fatal(err)
	}
	attacked(t, b)
	for _, want := range []int{0, 2, 3} {
		if row, mapped, err := b.Open(1); err != nil || row != want || mapped.Answered() != 0 {
			t.Errorf("row %d, want %d: %v", row, want, err)
		}
	}
}

// With a limit on the size of files there are fewer rows, and all of them can be used.
func TestRowsWithinLimit(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 3*stride + 5, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &old)
	b := newBoard(t)
	for range 2 {
		for want := range 3 {
			if row, _, err := b.Open(0); err != nil || row != want {
				t.Fatalf("row %d, want %d: %v", row, want, err)
			}
		}
		if row, _, err := b.Open(0); err == nil {
			t.Fatalf("row %d of 3", row)
		}
		for row := range 3 {
			if err := b.Close(row); err != nil {
				t.Fatal(err)
			}
		}
	}
}
