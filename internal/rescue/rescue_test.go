package rescue

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// memory is a memory that is written and read in the same process.
func memory(t testing.TB) *Memory {
	t.Helper()
	fd, err := Create(Sizes{64, 4096, 8192})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	m, err := Map(fd, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestFreshConnection(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	if f := r.Find(20, 0, 0); f.Verdict != GoesOn || f.Counted {
		t.Errorf("killed before it counted the connection: %+v", f)
	}
	w.Opened(20)
	if f := r.Find(20, 0, 0); f.Verdict != GoesOn || !f.Counted || len(f.Held) > 0 || len(f.Unsent) > 0 {
		t.Errorf("%+v", f)
	}
	w.Receiving(20, 0)
	copy(w.Receive(), "GET / HT")
	if f := r.Find(20, 8, 0); f.Verdict != GoesOn || string(f.Held) != "GET / HT" {
		t.Errorf("killed after recv: %+v", f)
	}
	w.Held(20, 0, []byte("GET / HT"))
	w.Receiving(21, 0)
	copy(w.Receive(), "something else")
	if f := r.Find(20, 8, 0); f.Verdict != GoesOn || string(f.Held) != "GET / HT" {
		t.Errorf("held: %+v", f)
	}
	w.Receiving(20, 8)
	copy(w.Receive(), "TP/1.1")
	if f := r.Find(20, 14, 0); f.Verdict != GoesOn || string(f.Held) != "GET / HTTP/1.1" {
		t.Errorf("held and received: %+v", f)
	}
	if m.Highest() != 20 {
		t.Errorf("highest %d", m.Highest())
	}
	if f := r.Find(20, 14, 1); f.Verdict != Inconsistent {
		t.Errorf("a byte was sent that was not committed: %+v", f)
	}
}

func TestBatch(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	w.Opened(20)
	w.Receiving(20, 0)
	copy(w.Receive(), "request|next")
	out := append(w.Send(), "head and body"...)
	w.Commit(20, &Batch{Used: 8, Start: 0, Len: len(out), File: 30, Off: 100, Rest: 50, Flags: 5})
	for sent := range uint64(len(out)) {
		f := r.Find(20, 12, sent)
		if f.Verdict != GoesOn || string(f.Held) != "next" || string(f.Unsent) != string(out[sent:]) || f.File != 30 || f.Off != 100 || f.Rest != 50 || f.Flags != 5 {
			t.Fatalf("%d sent: %+v", sent, f)
		}
	}
	w.Unsent(20, 4, out[4:])
	w.Held(20, 8, []byte("next"))
	w.Receiving(21, 0)
	w.Commit(21, &Batch{Len: len(append(w.Send(), "another response"...)), File: -1})
	if f := r.Find(20, 12, 4); string(f.Unsent) != string("head and body"[4:]) || string(f.Held) != "next" {
		t.Errorf("%+v", f)
	}
	if f := r.Find(20, 12, 13+20); f.File != 30 || f.Off != 120 || f.Rest != 30 || len(f.Unsent) > 0 {
		t.Errorf("%+v", f)
	}
	if f := r.Find(20, 12, 13+50); f.Verdict != GoesOn || f.File != -1 || f.Rest != 0 {
		t.Errorf("all is sent: %+v", f)
	}
	if f := r.Find(20, 12, 13+51); f.Verdict != Inconsistent {
		t.Errorf("%+v", f)
	}
	w.Giving(20, 12, 13)
	if f := r.Find(20, 12, 13); f.Verdict != GoesOn || r.given() != 20 {
		t.Errorf("%d is being handed over, %+v", r.given(), f)
	}
	// If a worker has received or sent something since, it has the connection or has closed it.
	for _, at := range [][2]uint64{{13, 13}, {12, 14}, {12, 12}} {
		if f := r.Find(20, at[0], at[1]); f.Verdict != WasClosing {
			t.Errorf("used by another worker: %+v", f)
		}
	}
	if w.Kept(20); r.given() != -1 {
		t.Errorf("%d is being handed over, want none", r.given())
	}
	w.Closing(20)
	if f := r.Find(20, 12, 13); f.Verdict != WasClosing {
		t.Errorf("%+v", f)
	}
	w.Closed(20)
	if f := r.Find(20, 0, 0); f.Verdict != GoesOn {
		t.Errorf("its successor: %+v", f)
	}
}

// A connection that was taken over does not get bytes received on an earlier connection with
// the same number.
func TestTakeReusedNumber(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	w.Opened(20)
	w.Receiving(20, 3)
	copy(w.Receive(), "bytes of another")
	w.Closing(20)
	w.Closed(20)
	w.Take(20, &Batch{Used: 5, Start: 7, File: -1}, nil, []byte("held"))
	if f := r.Find(20, 9, 7); f.Verdict != GoesOn || string(f.Held) != "held" {
		t.Errorf("%+v", f)
	}
}

// The bytes of a connection from another worker are in its own area from the beginning.
func TestBytesOfTakenConnection(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	if f := r.Find(20, 1000, 500); f.Verdict != Inconsistent {
		t.Errorf("taken, but not noted yet: %+v", f)
	}
	if f := r.Find(20, 1000, 0); f.Verdict != Inconsistent {
		t.Errorf("likewise: %+v", f)
	}
	w.Take(20, &Batch{Used: 996, Start: 500, File: 31, Off: 9, Rest: 10}, []byte("unsent"), []byte("held"))
	f := r.Find(20, 1000, 502)
	if f.Verdict != GoesOn || string(f.Unsent) != "sent" || string(f.Held) != "held" || f.File != 31 || f.Off != 9 || f.Rest != 10 {
		t.Errorf("%+v", f)
	}
	w.Tried(20, 1)
	w.Serving(20)
	if f := r.Find(20, 1000, 502); f.Tries != 1 || !f.Current {
		t.Errorf("%+v", f)
	}
	w.Commit(20, &Batch{Used: 1000, Start: 506, File: -1})
	w.Receiving(20, 1000)
	if f := r.Find(20, 1000, 506); f.Tries != 0 {
		t.Errorf("the next request is blamed: %+v", f)
	}
}

// The description of an exchange is that of the committed batch, whatever was being written for
// the next one.
func TestDescriptionOfCommittedBatch(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	b := Batch{File: 30, Rest: 10}
	for i, about := range []string{"first", "the second", "third"} {
		b.Start, b.About = uint64(10*i), []byte(about)
		w.Commit(20, &b)
		if f := r.Find(20, 0, b.Start+4); string(f.About) != about || f.Rest != 6 {
			t.Errorf("%q: %+v", about, f)
		}
		w.about(20, m.record(20).about, []byte("half written"), false)
		if f := r.Find(20, 0, b.Start+4); string(f.About) != about {
			t.Errorf("%q became %q", about, f.About)
		}
	}
	if f := r.Find(20, 0, b.Start+10); f.About != nil {
		t.Errorf("of a complete response: %q", f.About)
	}
	b.About = make([]byte, aboutSize+1)
	w.Commit(20, &b)
	if f := r.Find(20, 0, b.Start); len(f.About) > 0 {
		t.Errorf("%d bytes", len(f.About))
	}
}

// The area for held bytes is a ring.
func TestHeldWraps(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	text := make([]byte, 4096)
	for i := range text {
		text[i] = byte(rand.Int())
	}
	at := uint64(3*m.held() - 1000)
	w.Commit(20, &Batch{Used: at, Start: 7, File: -1})
	w.Held(20, at, text)
	if f := r.Find(20, at+4096, 7); f.Verdict != GoesOn || !bytes.Equal(f.Held, text) {
		t.Errorf("%v, %d bytes", f.Verdict, len(f.Held))
	}
	w.Release(20)
	if f := r.Find(20, at, 7); f.Verdict != GoesOn || len(f.Held) > 0 {
		t.Errorf("%+v", f)
	}
}

// Reading what a worker wrote ends and accesses nothing else, whatever it is.
func FuzzFind(f *testing.F) {
	f.Add(uint64(1), uint64(10), uint64(10))
	f.Fuzz(func(t *testing.T, seed, received, sent uint64) {
		m := memory(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		small := func() uint64 {
			if rnd.IntN(4) == 0 {
				return rnd.Uint64()
			}
			return rnd.Uint64N(70)
		}
		h := m.header()
		h.highest, h.current, h.sending, h.receiving, h.commit = int32(small()), int32(small()), int32(small()), 21<<positionBits|small(), uint32(small())
		for _, rec := range []*record{m.record(20), &h.next} {
			*rec = record{uint32(small()), int32(small()), small(), small(), int64(small()), int64(small()), uint32(small()), uint32(small()), uint8(small()), uint8(small()), uint8(small()), 0, uint32(small()), 0, uint32(small())}
		}
		found := NewReader(m).Find(20, received, sent)
		if len(found.Held) > m.held()+4096 || len(found.Unsent) > 8192 || found.Rest < 0 || found.Off < 0 || found.File >= 64 {
			t.Errorf("%+v", found)
		}
		if found.Verdict != GoesOn && (found.Held != nil || found.Unsent != nil || found.File != -1) {
			t.Errorf("%+v", found)
		}
		NewReader(m).File(20)
		_ = m.Highest()
	})
}

func TestMapRefuses(t *testing.T) {
	fd, err := unix.MemfdCreate("other", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := Map(fd, false); err == nil {
		t.Error("an empty file was mapped")
	}
	if err := unix.Ftruncate(fd, 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := Map(fd, false); err != errLayout {
		t.Errorf("zeros: %v", err)
	}
	if _, err := Create(Sizes{0, 1, 1}); err == nil {
		t.Error("a memory without records was mapped")
	}
}

func BenchmarkCommit(b *testing.B) {
	w := NewWriter(memory(b))
	for i := range b.N {
		w.Serving(20)
		w.Receiving(20, uint64(i))
		w.Commit(20, &Batch{Used: uint64(i), Start: uint64(i), Len: 100, File: -1})
	}
}

// Bytes for which there is no space are lost, and not taken for others, whichever of them have
// a response when the worker dies.
func TestHeldTooMuch(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	w.Opened(20)
	w.Held(20, 0, []byte("an early head"))
	w.Commit(20, &Batch{Used: 13, File: -1})
	long := bytes.Repeat([]byte("x"), m.held()+1)
	w.Held(20, 13, long)
	end := 13 + uint64(len(long))
	w.Commit(20, &Batch{Used: end - 10, File: -1})
	w.Receiving(21, 0)
	if f := r.Find(20, end, 0); f.Verdict == GoesOn {
		t.Errorf("the connection continues with %q", f.Held)
	}
	w.Held(20, end, []byte("more"))
	if f := r.Find(20, end+4, 0); f.Verdict == GoesOn {
		t.Errorf("the connection continues with %q", f.Held)
	}
	w.Commit(20, &Batch{Used: end + 4, File: -1})
	w.Held(20, end+4, []byte("next"))
	if f := r.Find(20, end+8, 0); f.Verdict != GoesOn || string(f.Held) != "next" {
		t.Errorf("%+v", f)
	}
	w.Take(21, &Batch{File: -1}, nil, long)
	w.Commit(21, &Batch{Used: uint64(len(long)) - 10, File: -1})
	if f := r.Find(21, uint64(len(long)), 0); f.Verdict == GoesOn {
		t.Errorf("the connection continues with %q", f.Held)
	}
}

// A whole receive buffer can be kept after an incomplete head of any size.
func TestHeldBuffer(t *testing.T) {
	fd, err := Create(Sizes{64, 1 << 20, 8192})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	m, err := Map(fd, true)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w, r := NewWriter(m), NewReader(m)
	p := bytes.Repeat([]byte("0123456789abcde"), (1<<20+16<<10)/15)
	w.Held(20, 0, p[:16<<10])
	w.Held(20, 16<<10, p[16<<10:])
	if f := r.Find(20, uint64(len(p)), 0); f.Verdict != GoesOn || !bytes.Equal(f.Held, p) {
		t.Errorf("verdict %v, %d bytes", f.Verdict, len(f.Held))
	}
}

// The memory of several workers fits into an address space of 39 bits, which some machines
// have.
func TestLargestMemory(t *testing.T) {
	s := Sizes{maxFDs, maxBuf, 1 << 17}
	if !s.valid() || s.total() > 96<<30 {
		t.Errorf("%+v: %d GiB", s, s.total()>>30)
	}
}

// A connection whose number has no record is not recorded, and does not affect others.
func TestBeyondRecords(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	w.Opened(20)
	w.Receiving(20, 0)
	copy(w.Receive(), "GET / HT")
	w.Held(20, 0, []byte("GET / HT"))
	const beyond = 64
	w.Opened(beyond)
	w.Serving(beyond)
	w.Receiving(beyond, 0)
	copy(w.Receive(), "another's")
	w.Commit(beyond, &Batch{Used: 9, Len: len(append(w.Send(), "response"...)), File: -1})
	w.Unsent(beyond, 0, []byte("response"))
	w.Held(beyond, 9, []byte("more"))
	w.Take(beyond, &Batch{}, []byte("response"), nil)
	w.Tried(beyond, 1)
	w.Giving(beyond, 9, 8)
	w.Kept(beyond)
	w.Closing(beyond)
	w.Release(beyond)
	w.Closed(beyond)
	if w.Used(beyond) != 0 || w.End(beyond) != 0 || m.Highest() != 20 || r.given() != -1 {
		t.Errorf("used %d, end %d, highest %d, given %d", w.Used(beyond), w.End(beyond), m.Highest(), r.given())
	}
	if f := r.Find(beyond, 9, 8); f.Verdict != Fixed {
		t.Errorf("%+v", f)
	}
	if f := r.Find(20, 8, 0); f.Verdict != GoesOn || string(f.Held) != "GET / HT" {
		t.Errorf("%+v", f)
	}
}

// A state is found complete, in whichever of its places it is and whether or not a file
// follows, and is not torn while the next one is written. While bytes without a record are
// being encrypted, no other worker may continue the connection.
func TestWholeState(t *testing.T) {
	m := memory(t)
	w, r := NewWriter(m), NewReader(m)
	b := Batch{Used: 5, File: -1, Len: 10, Whole: true}
	for i, n := range []int{1, stateSize, stateSize + 1, 3, aboutSize, aboutSize, 7} {
		b.Start, b.About = uint64(10*i), bytes.Repeat([]byte{byte(i + 1)}, n)
		if i == 3 {
			b.File, b.Rest = 30, 6
		}
		w.Commit(20, &b)
		f := r.Find(20, 5, b.Start+4)
		if f.Verdict != GoesOn || !f.Whole || !bytes.Equal(f.About, b.About) || len(f.Unsent) != 6 || len(f.Held) != 0 {
			t.Errorf("state %d of %d bytes: verdict %d, %d bytes", i, n, f.Verdict, len(f.About))
		}
		w.about(20, m.record(20).about, bytes.Repeat([]byte{0xee}, n), true)
		if f := r.Find(20, 5, b.Start+4); !bytes.Equal(f.About, b.About) {
			t.Errorf("state %d is torn", i)
		}
		if Large(b.About) != (n > stateSize) {
			t.Errorf("%d bytes: %v", n, Large(b.About))
		}
		w.Sealing(20)
		if f := r.Find(20, 5, b.Start+4); f.Verdict != Fixed {
			t.Errorf("while encrypting: verdict %d", f.Verdict)
		}
	}
	if f := r.Find(20, 5, b.Start+11); f.Verdict != Fixed {
		t.Errorf("verdict %d", f.Verdict)
	}
	w.Commit(20, &b)
	if f := r.Find(20, 5, b.Start+11); f.Verdict != Inconsistent {
		t.Errorf("a file was sent unencrypted: verdict %d", f.Verdict)
	}
	b.About = make([]byte, aboutSize+1)
	w.Commit(20, &b)
	if f := r.Find(20, 5, b.Start); f.Verdict != Fixed {
		t.Errorf("too long a state: verdict %d", f.Verdict)
	}
}
