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
func (p *patron) choose() page { return p.pages[p.rng.IntN(len(p.pages))] }

// tell sends a request, whole or in part.
func (p *patron) tell(doing, text string) error {
	p.doing = doing
	return p.conn.Send(text)
}

// receive reads a response and compares it with a page.
func (p *patron) receive(want page) (*harness.Reply, error) {
	r, err := p.conn.Reply("GET")
	if err != nil {
		return nil, err
	}
	if r.Status != 200 || !bytes.Equal(r.Body, want.body) {
		return nil, fmt.Errorf("%w: %d with %d bytes %.20q, want 200 with %d bytes %.20q",
			harness.ErrWrong, r.Status, len(r.Body), r.Body, len(want.body), want.body)
	}
	p.count()
	return r, nil
}

// after checks what follows a response: its end if it announces one, else nothing.
func (p *patron) after(r *harness.Reply) error {
	if !r.Closes() {
		if n := p.conn.In.Buffered(); n > 0 {
			return fmt.Errorf("%w: %d extra bytes after the response", harness.ErrWrong, n)
		}
		return nil
	}
	p.doing = "waiting for the announced end"
	switch b, err := p.conn.In.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: byte %q after the last response", harness.ErrWrong, b)
	case err != io.EOF:
		return err
	}
	p.close()
	if p.kind != kindShort { // its requests ask for the end
		p.mu.Lock()
		defer p.mu.Unlock()
		p.announced++
	}
	return nil
}

// comeAndGo makes one request on a connection of its own.
func (p *patron) comeAndGo() error {
	if err := p.reach(0); err != nil {
		return err
	}
	want := p.choose()
	if err := p.tell("asking for "+want.path+" with Connection: close", harness.Request("GET", want.path, "Connection: close")); err != nil {
		return err
	}
	r, err := p.receive(want)
	if err != nil {
		return err
	}
	if !r.Closes() {
		return fmt.Errorf("%w: the response lacks Connection: close", harness.ErrWrong)
	}
	return p.after(r)
}

// converse makes a request or two, in one of three ways.
func (p *patron) converse() error {
	if err := p.reach(0); err != nil {
		return err
	}
	switch p.rng.IntN(10) {
	case 0:
		return p.pair()
	case 1, 2:
		return p.halves()
	}
	return p.single()
}

func (p *patron) single() error {
	want := p.choose()
	if err := p.tell("asking for "+want.path, harness.Request("GET", want.path)); err != nil {
		return err
	}
	r, err := p.receive(want)
	if err != nil {
		return err
	}
	return p.after(r)
}

// pair sends two requests at once. The server has read either both or neither, so the first
// response cannot be the last.
func (p *patron) pair() error {
	first, second := p.choose(), p.choose()
	text := harness.Request("GET", first.path) + harness.Request("GET", second.path)
	if err := p.tell("asking for "+first.path+" and "+second.path, text); err != nil {
		return err
	}
	r, err := p.receive(first)
	if err != nil {
		return err
	}
	if r.Closes() {
		return fmt.Errorf("%w: the first of two responses has Connection: close", harness.ErrWrong)
	}
	if r, err = p.receive(second); err != nil {
		return err
	}
	return p.after(r)
}

// halves sends a head in two pieces, some time apart.
func (p *patron) halves() error {
	want := p.choose()
	text := harness.Request("GET", want.path)
	cut := 1 + p.rng.IntN(len(text)-1)
	if err := p.tell("sending the first half of a head", text[:cut]); err != nil {
		return err
	}
	p.pause(harness.Between(p.rng, 0, 300*time.Millisecond))
	if err := p.tell("sending the second half of a head", text[cut:]); err != nil {
		return err
	}
	r, err := p.receive(want)
	if err != nil {
		return err
	}
	return p.after(r)
}

// doze makes a request and then expects the connection to stay open and silent for a while.
func (p *patron) doze() error {
	if err := p.reach(0); err != nil {
		return err
	}
	if err := p.single(); err != nil || p.conn == nil {
		return err
	}
	p.doing = "silent"
	if err := p.conn.SetReadDeadline(time.Now().Add(harness.Between(p.rng, 2*time.Second, 4*time.Second))); err != nil {
		return err
	}
	b, err := p.conn.In.ReadByte()
	switch {
	case err == nil:
		return fmt.Errorf("%w: unexpected byte %q", harness.ErrWrong, b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// downloads fetches the large file until no more downloads may begin.
func (p *patron) downloads(ranged bool) {
	defer p.close()
	// Spread the downloads, or all of them might end just when the server stops.
	p.pause(harness.Between(p.rng, 0, largeSize/largePiece*largePace))
	for {
		d, err := p.begin(ranged)
		if err == nil {
			if d == nil {
				return
			}
			err = p.take(d)
			p.sending.Add(-1)
		}
		if err != nil {
			p.failed(err)
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
func (p *patron) begin(ranged bool) (*transfer, error) {
	p.door.RLock()
	defer p.door.RUnlock()
	switch {
	case p.shut:
		return nil, nil
	case p.at.http2:
		return p.beginStream()
	}
	want, status, content := p.large.body, 200, ""
	var fields []string
	if ranged {
		from := p.rng.IntN(largeSize / 2)
		to := from + 1 + p.rng.IntN(largeSize-from)
		want, status, content = want[from:to], 206, fmt.Sprintf("bytes %d-%d/%d", from, to-1, largeSize)
		fields = []string{fmt.Sprintf("Range: bytes=%d-%d", from, to-1)}
	}
	if err := p.reach(largeBuffer); err != nil {
		return nil, err
	}
	if err := p.tell("asking for a download", harness.Request("GET", p.large.path, fields...)); err != nil {
		return nil, err
	}
	r, err := p.conn.Head()
	if err != nil {
		return nil, err
	}
	if r.Status != status || r.Length != int64(len(want)) || r.Header.Get("Content-Range") != content {
		return nil, fmt.Errorf("%w: %d with %d bytes of %q, want %d with %d of %q",
			harness.ErrWrong, r.Status, r.Length, r.Header.Get("Content-Range"), status, len(want), content)
	}
	p.fresh = false
	p.sending.Add(1)
	return &transfer{head: r, want: want}, nil
}

// take reads the body slowly and compares every byte.
func (p *patron) take(d *transfer) error {
	if d.stream != nil {
		return p.takeStream(d)
	}
	buf := make([]byte, largePiece)
	tick := time.NewTicker(largePace)
	defer tick.Stop()
	for at := 0; at < len(d.want); <-tick.C {
		p.doing = fmt.Sprintf("at byte %d of %d", at, len(d.want))
		if err := p.conn.SetReadDeadline(time.Now().Add(replyTime)); err != nil {
			return err
		}
		n, err := io.ReadFull(p.conn.In, buf[:min(len(buf), len(d.want)-at)])
		if want := d.want[at : at+n]; !bytes.Equal(buf[:n], want) {
			return fmt.Errorf("%w: wrong content in the %d bytes from byte %d on", harness.ErrWrong, n, at)
		}
		if at += n; err != nil {
			return err
		}
	}
	p.count()
	return p.after(d.head)
}
