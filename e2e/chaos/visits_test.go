package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"phalanx/e2e/harness"
)

// This file defines what the clients of TestChaos do and what they accept.

// choose returns a random small page.
func (c *client) choose() page { return c.pages[c.rng.IntN(len(c.pages))] }

// send sends a request, whole or in part.
func (c *client) send(doing, text string) error {
	c.doing = doing
	return c.conn.Send(text)
}

// receive reads a response and compares it with a page.
func (c *client) receive(want page) (*harness.Reply, error) {
	r, err := c.conn.Reply("GET")
	if err != nil {
		return nil, err
	}
	if r.Status != 200 || !bytes.Equal(r.Body, want.body) {
		return nil, fmt.Errorf("%w: %d with %d bytes %.20q, want 200 with %d bytes %.20q",
			harness.ErrWrong, r.Status, len(r.Body), r.Body, len(want.body), want.body)
	}
	c.count()
	return r, nil
}

// after checks what follows a response: its end if it announces one, else nothing.
func (c *client) after(r *harness.Reply) error {
	if !r.Closes() {
		if n := c.conn.In.Buffered(); n > 0 {
			return fmt.Errorf("%w: %d extra bytes after the response", harness.ErrWrong, n)
		}
		return nil
	}
	c.doing = "waiting for the announced end"
	switch b, err := c.conn.In.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: byte %q after the last response", harness.ErrWrong, b)
	case err != io.EOF:
		return err
	}
	c.close()
	if c.kind != kindShort { // its requests ask for the end
		c.mu.Lock()
		defer c.mu.Unlock()
		c.announced++
	}
	return nil
}

// requestOnce makes one request on a connection of its own.
func (c *client) requestOnce() error {
	if err := c.connect(0); err != nil {
		return err
	}
	want := c.choose()
	if err := c.send("asking for "+want.path+" with Connection: close", harness.Request("GET", want.path, "Connection: close")); err != nil {
		return err
	}
	r, err := c.receive(want)
	if err != nil {
		return err
	}
	if !r.Closes() {
		return fmt.Errorf("%w: the response lacks Connection: close", harness.ErrWrong)
	}
	return c.after(r)
}

// request makes a request or two, in one of three ways.
func (c *client) request() error {
	if err := c.connect(0); err != nil {
		return err
	}
	switch c.rng.IntN(10) {
	case 0:
		return c.pair()
	case 1, 2:
		return c.splitHead()
	}
	return c.single()
}

func (c *client) single() error {
	want := c.choose()
	if err := c.send("asking for "+want.path, harness.Request("GET", want.path)); err != nil {
		return err
	}
	r, err := c.receive(want)
	if err != nil {
		return err
	}
	return c.after(r)
}

// pair sends two requests at once. The server has read either both or neither, so the first
// response cannot be the last.
func (c *client) pair() error {
	first, second := c.choose(), c.choose()
	text := harness.Request("GET", first.path) + harness.Request("GET", second.path)
	if err := c.send("asking for "+first.path+" and "+second.path, text); err != nil {
		return err
	}
	r, err := c.receive(first)
	if err != nil {
		return err
	}
	if r.Closes() {
		return fmt.Errorf("%w: the first of two responses has Connection: close", harness.ErrWrong)
	}
	if r, err = c.receive(second); err != nil {
		return err
	}
	return c.after(r)
}

// splitHead sends a head in two pieces, some time apart.
func (c *client) splitHead() error {
	want := c.choose()
	text := harness.Request("GET", want.path)
	cut := 1 + c.rng.IntN(len(text)-1)
	if err := c.send("sending the first half of a head", text[:cut]); err != nil {
		return err
	}
	c.pause(harness.Between(c.rng, 0, 300*time.Millisecond))
	if err := c.send("sending the second half of a head", text[cut:]); err != nil {
		return err
	}
	r, err := c.receive(want)
	if err != nil {
		return err
	}
	return c.after(r)
}

// stayIdle makes a request and then expects the connection to stay open and silent for a while.
func (c *client) stayIdle() error {
	if err := c.connect(0); err != nil {
		return err
	}
	if err := c.single(); err != nil || c.conn == nil {
		return err
	}
	c.doing = "silent"
	if err := c.conn.SetReadDeadline(time.Now().Add(harness.Between(c.rng, 2*time.Second, 4*time.Second))); err != nil {
		return err
	}
	b, err := c.conn.In.ReadByte()
	switch {
	case err == nil:
		return fmt.Errorf("%w: unexpected byte %q", harness.ErrWrong, b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// downloads fetches the large file until no more downloads may begin.
func (c *client) downloads(ranged bool) {
	defer c.close()
	// Spread the downloads, or all of them might end just when the server stops.
	c.pause(harness.Between(c.rng, 0, largeSize/largePiece*largePace))
	for {
		d, err := c.begin(ranged)
		if err == nil {
			if d == nil {
				return
			}
			err = c.take(d)
			c.sending.Add(-1)
		}
		if err != nil {
			c.failed(err)
			<-time.After(50 * time.Millisecond)
		}
	}
}

// transfer is a download under way: its head, and the expected body.
type transfer struct {
	head   *harness.Reply // nil over HTTP/2
	stream *response      // over HTTP/2
	want   []byte
}

// begin requests the file or a range of it, and reads the response head. It returns nil when no
// more downloads may begin.
func (c *client) begin(ranged bool) (*transfer, error) {
	c.beginMu.RLock()
	defer c.beginMu.RUnlock()
	switch {
	case c.stopped:
		return nil, nil
	case c.at.http2:
		return c.beginStream()
	}
	want, status, content := c.large.body, 200, ""
	var fields []string
	if ranged {
		from := c.rng.IntN(largeSize / 2)
		to := from + 1 + c.rng.IntN(largeSize-from)
		want, status, content = want[from:to], 206, fmt.Sprintf("bytes %d-%d/%d", from, to-1, largeSize)
		fields = []string{fmt.Sprintf("Range: bytes=%d-%d", from, to-1)}
	}
	if err := c.connect(largeBuffer); err != nil {
		return nil, err
	}
	if err := c.send("asking for a download", harness.Request("GET", c.large.path, fields...)); err != nil {
		return nil, err
	}
	r, err := c.conn.Head()
	if err != nil {
		return nil, err
	}
	if r.Status != status || r.Length != int64(len(want)) || r.Header.Get("Content-Range") != content {
		return nil, fmt.Errorf("%w: %d with %d bytes of %q, want %d with %d of %q",
			harness.ErrWrong, r.Status, r.Length, r.Header.Get("Content-Range"), status, len(want), content)
	}
	c.fresh = false
	c.sending.Add(1)
	return &transfer{head: r, want: want}, nil
}

// take reads the body slowly and compares every byte.
func (c *client) take(d *transfer) error {
	if d.stream != nil {
		return c.takeStream(d)
	}
	buf := make([]byte, largePiece)
	tick := time.NewTicker(largePace)
	defer tick.Stop()
	for at := 0; at < len(d.want); <-tick.C {
		c.doing = fmt.Sprintf("at byte %d of %d", at, len(d.want))
		if err := c.conn.SetReadDeadline(time.Now().Add(replyTime)); err != nil {
			return err
		}
		n, err := io.ReadFull(c.conn.In, buf[:min(len(buf), len(d.want)-at)])
		if want := d.want[at : at+n]; !bytes.Equal(buf[:n], want) {
			return fmt.Errorf("%w: wrong content in the %d bytes from byte %d on", harness.ErrWrong, n, at)
		}
		if at += n; err != nil {
			return err
		}
	}
	c.count()
	return c.after(d.head)
}
