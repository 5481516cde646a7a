package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// accepting passes each connection to take, with its number from 0, until the
// test ends. It returns the address.
func accepting(t *testing.T, take func(c net.Conn, number int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for number := 0; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			take(c, number)
		}
	}()
	return l.Addr().String()
}

// server responds to each request with a body of size bytes. It closes the
// connections for which refuse is true at once.
func server(t *testing.T, size int, refuse func(number int) bool) string {
	t.Helper()
	return accepting(t, func(c net.Conn, number int) {
		if refuse(number) {
			c.Close()
			return
		}
		t.Cleanup(func() { c.Close() })
		go answer(c, size)
	})
}

func answer(c net.Conn, size int) {
	for r := bufio.NewReader(c); ; {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", size)
		io.CopyN(c, zeros{}, int64(size))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func never(int) bool { return false }

// patiently repeats a measurement with a longer duration until it has no error: a busy machine may do nothing for a
// while.
func patiently(t *testing.T, last time.Duration, measure func(last time.Duration) error) {
	t.Helper()
	for {
		err := measure(last)
		if err == nil {
			return
		}
		if last *= 4; last > 10*time.Second {
			t.Error(err)
			return
		}
	}
}

func TestWholeFiles(t *testing.T) {
	const size = 3_000_000
	patiently(t, 200*time.Millisecond, func(last time.Duration) error {
		out, err := Crowd{Address: server(t, size, never), Path: "/", Clients: 3, Last: last, Sample: last / 4}.Run(t.Context())
		if err != nil {
			return err
		}
		if out.Whole != 3 || len(out.Samples[0]) != 4 {
			return fmt.Errorf("%d of 3 have the whole file, %d samples", out.Whole, len(out.Samples[0]))
		}
		for i, n := range out.Received {
			if n != size || out.Errors[i] != nil {
				return fmt.Errorf("client %d received %d bytes: %v", i, n, out.Errors[i])
			}
		}
		return nil
	})
}

func TestPaced(t *testing.T) {
	const portion, period = 1000, 10 * time.Millisecond
	patiently(t, 100*time.Millisecond, func(last time.Duration) error {
		out, err := Crowd{
			Address: server(t, 10_000_000, never), Path: "/", Clients: 2, Last: last, Sample: last, Portion: portion, Period: period,
		}.Run(t.Context())
		if err != nil {
			return err
		}
		for i, n := range out.Received {
			if want := int64(last/period) * portion; n < want/5 || n > 2*want || out.Errors[i] != nil {
				return fmt.Errorf("client %d received %d bytes, want about %d: %v", i, n, want, out.Errors[i])
			}
		}
		return nil
	})
}

// TestStall has a server that accepts connections and sends nothing.
func TestStall(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	patiently(t, 50*time.Millisecond, func(last time.Duration) error {
		out, err := Crowd{Address: l.Addr().String(), Path: "/", Clients: 1, Last: last, Sample: last}.Run(t.Context())
		if err != nil || out.Errors[0] != nil || out.Received[0] != 0 || out.Stall[0] < last*9/10 {
			return fmt.Errorf("got %+v, %v", out, err)
		}
		return nil
	})
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Crowd{Address: server(t, 1, never), Clients: 1, Last: time.Minute, Sample: time.Second}).Run(ctx); err == nil {
		t.Error("no error")
	}
}

func TestIdle(t *testing.T) {
	looked := false
	address := server(t, 10_000, func(number int) bool { return number%4 == 3 })
	held := Idle(t.Context(), address, "/", 8, false, func() { looked = true })
	if held != 6 || !looked {
		t.Errorf("%d connections held, want 6 of 8", held)
	}
}

// TestIdleOfAFullServer has a server that keeps only ten connections.
func TestIdleOfAFullServer(t *testing.T) {
	address := server(t, 10, func(number int) bool { return number >= 10 })
	if held := Idle(t.Context(), address, "/", 1_000_000, false, func() {}); held != 10 {
		t.Errorf("%d connections held, want 10", held)
	}
}
