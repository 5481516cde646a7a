// Package load provides the loads that siege, wrk and vegeta cannot: many
// clients that each download one huge file, as fast as they can or at a given
// rate, and record their longest stall; idle connections; and clients of a
// server that is disturbed. Clients discard data inside the kernel (MSG_TRUNC,
// tcp(7)), which leaves more of the machine's time to the server.
package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const discardMax = 256 << 10 // bytes discarded by one call at most

// client is one connection that downloads one file.
type client struct {
	conn     *net.TCPConn
	raw      syscall.RawConn
	received atomic.Int64 // bytes of the body
	stall    time.Duration
	size     int64 // of the body, once the head has been read
	closes   bool  // the response has Connection: close
}

// dial connects to an address. buffer is the size of the receive buffer in
// bytes, 0 for the kernel's default; it must be set before connect.
func dial(ctx context.Context, address string, buffer int) (*client, error) {
	d := net.Dialer{Timeout: 20 * time.Second, KeepAlive: -1}
	d.SetMultipathTCP(false)
	if buffer > 0 {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var set error
			err := c.Control(func(fd uintptr) {
				set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
			})
			if err != nil {
				return err
			}
			return set
		}
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn.(*net.TCPConn)}
	c.raw, err = c.conn.SyscallConn()
	return c, err
}

// get sends a GET request.
func (c *client) get(path string) error {
	_, err := c.conn.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	return err
}

// head reads the head of the response. It counts the bytes of the body that
// arrive with the head.
func (c *client) head() error {
	buf := make([]byte, 0, 4<<10)
	for {
		n, err := c.conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+n]
		end := bytes.Index(buf, []byte("\r\n\r\n"))
		if end < 0 && len(buf) < cap(buf) {
			continue
		}
		if end < 0 {
			return fmt.Errorf("the response head is longer than %d bytes", cap(buf))
		}
		if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("unexpected response %q", buf[:min(len(buf), 40)])
		}
		c.closes = closes(string(buf[:end]))
		c.size, err = length(string(buf[:end]))
		c.received.Add(int64(len(buf) - end - 4))
		return err
	}
}

func closes(head string) bool {
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "connection") && strings.EqualFold(strings.TrimSpace(value), "close") {
			return true
		}
	}
	return false
}

func length(head string) (int64, error) {
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "content-length") {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("the response has no Content-Length")
}

// discard discards up to most received bytes and returns how many. It waits if
// there are none. The end of the connection is io.ErrUnexpectedEOF.
func (c *client) discard(most int64, scratch []byte) (int64, error) {
	var n int
	var got error
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			n, _, got = unix.Recvfrom(int(fd), scratch[:min(most, int64(len(scratch)))], unix.MSG_TRUNC)
			if got != unix.EINTR {
				return got != unix.EAGAIN
			}
		}
	})
	if err == nil {
		err = got
	}
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	c.received.Add(int64(n))
	return int64(n), nil
}

// whole reports whether the whole body has been received.
func (c *client) whole() bool { return c.size > 0 && c.received.Load() >= c.size }

// waited records a time in which nothing arrived.
func (c *client) waited(d time.Duration) { c.stall = max(c.stall, d) }

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
