package harness

import (
	"io"
	"time"
)

// Download is a large response under way.
type Download struct {
	*Client
	Length int64 // Content-Length
	Taken  int64 // bytes of the body read so far
}

// Begin requests a file over a new connection, with a receive buffer as for
// ConnectNarrow, and reads the head of the response.
func (s *Server) Begin(path string, buffer int) *Download {
	s.T.Helper()
	c := s.DialNarrow(buffer)
	s.MustSend(c, Request("GET", path))
	r, err := c.Head()
	if err != nil {
		s.T.Fatal(err)
	}
	if r.Status != 200 || r.Length < 0 {
		s.T.Fatalf("GET %s: %d with Content-Length %d", path, r.Status, r.Length)
	}
	return &Download{Client: c, Length: r.Length}
}

// Take reads n bytes of the body.
func (d *Download) Take(n int64) error {
	got, err := io.CopyN(io.Discard, d.In, n)
	d.Taken += got
	return err
}

// Trickle reads n bytes every 10 ms for the given time, as a slow client.
func (d *Download) Trickle(n int64, during time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		if err := d.Take(n); err != nil {
			return err
		}
	}
	return nil
}

// TrickleUntil is Trickle until enough is closed.
func (d *Download) TrickleUntil(n int64, enough <-chan struct{}) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-enough:
			return nil
		case <-tick.C:
		}
		if err := d.Take(n); err != nil {
			return err
		}
	}
}

// Rest reads the rest of the body. It returns an error if the connection ends
// first, or if no byte arrives for ClientTimeout.
func (d *Download) Rest() error {
	buf := make([]byte, 1<<20)
	for d.Taken < d.Length {
		if err := d.SetReadDeadline(time.Now().Add(ClientTimeout)); err != nil {
			return err
		}
		n, err := d.In.Read(buf[:min(int64(len(buf)), d.Length-d.Taken)])
		d.Taken += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// MustComplete reads the rest and fails the test if the body is shorter than
// Content-Length.
func (s *Server) MustComplete(d *Download) {
	s.T.Helper()
	if err := d.Rest(); err != nil || d.Taken != d.Length {
		s.T.Errorf("the download ended after %d of %d bytes: %v", d.Taken, d.Length, err)
	}
}
