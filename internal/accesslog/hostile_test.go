package accesslog

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"phalanx/internal/logging"
)

// A worker that keeps writing garbage into the header of its ring, while the ring is
// read, attached and detached, damages no line of another worker, and causes neither a
// panic nor an endless loop in the log's goroutine.
func TestHostileWorkerWhileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := open(t, path, Config{})
	hostile, mem := newRing(t, MinRing)
	for i := ringData; i < len(mem); i++ {
		mem[i] = "x\x1b\x9b\n"[i%4]
	}
	sane, _ := newRing(t, 64<<10)
	w.Attach(0, hostile)
	w.Attach(1, sane)
	done := make(chan struct{})
	go func() {
		defer close(done)
		values := []uint64{0, 1, MinRing, MinRing - ringData, maxPosition - 1, maxPosition, 1 << 63, ^uint64(0), ^uint64(0) - 1000}
		for range 3000 {
			v := values[rand.N(len(values))] + rand.N[uint64](MinRing)
			switch rand.N(6) {
			case 0:
				hostile.head.Store(v)
			case 1:
				hostile.tail.Store(v)
			case 2:
				hostile.lost.Store(v)
			case 3:
				hostile.told.Store(v)
			case 4:
				hostile.bell.Store(v)
			case 5: // lines that look right
				hostile.tail.Store(v)
				hostile.head.Store(v + rand.N[uint64](MinRing))
			}
			Wake(w.cfg.Doorbell.Out)
			runtime.Gosched()
		}
	}()
	const lines = 500
	for i := range lines {
		line := fmt.Sprintf("a line of the other worker: %d.\n", i)
		for !write(sane, w.cfg.Doorbell.Out, line) {
			runtime.Gosched()
		}
		if i%50 == 0 {
			w.Detach(0)
			w.Attach(0, hostile)
			w.Lost()
		}
		runtime.Gosched()
	}
	<-done
	closed(t, w)
	got := content(t, path)
	if strings.ContainsAny(got, "\x1b") || !utf8.ValidString(got) {
		t.Error("the file contains terminal control characters")
	}
	for i := range lines {
		if line := fmt.Sprintf("\na line of the other worker: %d.\n", i); !strings.Contains("\n"+got, line) {
			t.Fatalf("line %d is missing or incomplete", i)
		}
	}
}

// Lines of a worker that floods the log wait for the next second, except when the log is
// closed; those of other workers do not.
func TestFloodWaits(t *testing.T) {
	w := New(Config{Doorbell: doorbell(t)})
	for id := range 2 {
		r, _ := newRing(t, MinRing)
		r.Write([]byte("a line\n"))
		w.Attach(id, r)
	}
	flood := w.sources[0]
	flood.overBudget(time.Now()) // its second begins
	flood.budget.Take(logging.MostBytes)
	w.prepare(true)
	if got := string(w.batch.lines); got != "a line\n" || flood.ring.Waiting() == 0 || w.filling() {
		t.Errorf("%q is written, %d bytes of the flood wait", got, flood.ring.Waiting())
	}
	w.batch.advance(len(w.batch.lines))
	w.prepare(false)
	if got := string(w.batch.lines); got != "a line\n" {
		t.Errorf("%q is written at once", got)
	}
}

// FuzzRings checks that, whatever a worker writes into its ring and changes while the ring
// is read, the file consists of complete lines without terminal control characters, and
// contains those of another worker.
func FuzzRings(f *testing.F) {
	f.Add([]byte("one\ntwo"), uint64(0), uint64(7), uint64(3))
	f.Add([]byte("\x1b[2J\x00\xff\n"), uint64(maxPosition-1), uint64(maxPosition), uint64(4096))
	f.Add([]byte("\n"), uint64(5), ^uint64(0), uint64(1))
	f.Fuzz(func(t *testing.T, content []byte, tail, head, later uint64) {
		hostile, mem := newRing(t, MinRing)
		for i := range mem[ringData:] {
			if len(content) > 0 {
				mem[ringData+i] = content[i%len(content)]
			}
		}
		header(mem, head, tail, later, 0, later)
		sane, _ := newRing(t, MinRing)
		w := New(Config{Doorbell: doorbell(t)})
		w.Attach(0, hostile)
		w.Attach(1, sane)
		sane.Write([]byte("a line of the other worker\n"))
		var got []byte
		for i := range 5 {
			w.prepare(i%2 == 0)
			got = append(got, w.batch.lines...)
			hostile.head.Store(later + uint64(i))
			w.batch.advance(len(w.batch.lines))
			w.filling()
			w.maySleep()
		}
		w.Detach(0)
		w.Lost()
		if len(got) > 0 && got[len(got)-1] != '\n' || strings.ContainsFunc(string(got), func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
			t.Errorf("%q is written", got)
		}
		if !strings.Contains("\n"+string(got), "\na line of the other worker\n") {
			t.Errorf("%q lacks the other worker's line", got)
		}
	})
}

// Each byte that may control a terminal is replaced, wherever it is.
func TestClean(t *testing.T) {
	for c := range 256 {
		for at := range 19 {
			p := []byte("a line of the log\n~")
			p[at] = byte(c)
			want := string(p)
			if (c < ' ' || c > '~') && c != '\n' {
				want = want[:at] + "?" + want[at+1:]
			}
			if clean(p); string(p) != want {
				t.Fatalf("%q, want %q", p, want)
			}
		}
	}
}
