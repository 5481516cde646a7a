package accesslog

import (
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Many goroutines share a Logger: every line is complete, and the reader is woken once
// for all of them.
func TestLogger(t *testing.T) {
	ring, err := NewRing(make([]byte, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	doorbell := doorbell(t)
	l := NewLogger(Common, ring, doorbell.Out)
	ring.ringAt(1)
	var work sync.WaitGroup
	const writers, lines = 8, 500
	for range writers {
		work.Go(func() {
			for range lines {
				l.Write(&Entry{Client: []byte("127.0.0.1"), Method: []byte("GET"), Target: []byte("/a"), Version: "HTTP/1.1", Status: 200})
			}
		})
	}
	work.Wait()
	a, b := ring.Readable()
	const want = `127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "GET /a HTTP/1.1" 200 -` + "\n"
	if got := string(a) + string(b); got != strings.Repeat(want, writers*lines) {
		t.Errorf("%d bytes, want %d; they begin with %.200q", len(got), len(want)*writers*lines, got)
	}
	var rings [8]byte
	if n, err := unix.Read(doorbell.In, rings[:]); n != 1 || err != nil || rings[0] != 1 {
		t.Errorf("the reader was woken %v times, error %v; want once", rings, err)
	}
}

func BenchmarkLogger(b *testing.B) {
	ring, err := NewRing(make([]byte, 512<<10))
	if err != nil {
		b.Fatal(err)
	}
	l := NewLogger(Combined, ring, -1)
	e := &Entry{
		Client: []byte("192.0.2.17"), Time: 1_700_000_000_000, Method: []byte("GET"), Target: []byte("/assets/app.0a1b2c3d.js"), Version: "HTTP/1.1", Status: 200,
		Bytes: 12345, Referer: []byte("https://example.org/"), Agent: []byte("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Write(e)
		if a, c := ring.Readable(); len(a)+len(c) > 256<<10 {
			ring.Consume(len(a) + len(c))
		}
	}
}
