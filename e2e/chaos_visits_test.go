package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// This file is what the clients of TestChaos do, and how strict they are.

// choose is one of the small pages.
func (p *patron) choose() page { return p.pages[p.rng.IntN(len(p.pages))] }

// tell sends a text, whole or in part.
func (p *patron) tell(doing, text string) error {
	p.doing = doing
	return p.conn.send(text)
}

// receive reads the reply with a page.
func (p *patron) receive(want page) (*reply, error) {
	r, err := p.conn.reply("GET")
	if err != nil {
		return nil, err
	}
	if r.status != 200 || !bytes.Equal(r.body, want.body) {
		return nil, fmt.Errorf("%w: %d with %d bytes %.20q, want 200 with %d bytes %.20q",
			errWrong, r.status, len(r.body), r.body, len(want.body), want.body)
	}
	p.count()
	return r, nil
}

// after expects behind a reply the end that it announces, or else nothing.
func (p *patron) after(r *reply) error {
	if !r.closes() {
		if n := p.conn.in.Buffered(); n > 0 {
			return fmt.Errorf("%w: %d bytes too many", errWrong, n)
		}
		return nil
	}
	p.doing = "waiting for the announced end"
	switch b, err := p.conn.in.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: the byte %q behind the last reply", errWrong, b)
	case err != io.EOF:
		return err
	}
	p.close()
	if p.kind != kindShort { // who asked for it
		p.mu.Lock()
		defer p.mu.Unlock()
		p.announced++
	}
	return nil
}

// comeAndGo is a request on a connection of its own.
func (p *patron) comeAndGo() error {
	if err := p.reach(0); err != nil {
		return err
	}
	want := p.choose()
	if err := p.tell("asking for "+want.path+" alone", request("GET", want.path, "Connection: close")); err != nil {
		return err
	}
	r, err := p.receive(want)
	if err != nil {
		return err
	}
	if !r.closes() {
		return fmt.Errorf("%w: Connection: close is not repeated", errWrong)
	}
	return p.after(r)
}

// converse is a request or two, in one of three ways.
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
	if err := p.tell("asking for "+want.path, request("GET", want.path)); err != nil {
		return err
	}
	r, err := p.receive(want)
	if err != nil {
		return err
	}
	return p.after(r)
}

// pair sends two requests in one piece: the server has either both or none, so
// the first reply cannot be the last.
func (p *patron) pair() error {
	first, second := p.choose(), p.choose()
	text := request("GET", first.path) + request("GET", second.path)
	if err := p.tell("asking for "+first.path+" and "+second.path, text); err != nil {
		return err
	}
	r, err := p.receive(first)
	if err != nil {
		return err
	}
	if r.closes() {
		return fmt.Errorf("%w: the first of two requests is answered with Connection: close", errWrong)
	}
	if r, err = p.receive(second); err != nil {
		return err
	}
	return p.after(r)
}

// halves sends a head in two pieces, some time apart.
func (p *patron) halves() error {
	want := p.choose()
	text := request("GET", want.path)
	cut := 1 + p.rng.IntN(len(text)-1)
	if err := p.tell("sending the first half of a head", text[:cut]); err != nil {
		return err
	}
	p.pause(between(p.rng, 0, 300*time.Millisecond))
	if err := p.tell("sending the second half of a head", text[cut:]); err != nil {
		return err
	}
	r, err := p.receive(want)
	if err != nil {
		return err
	}
	return p.after(r)
}

// doze is a request, and a silence in which not even the end may come.
func (p *patron) doze() error {
	if err := p.reach(0); err != nil {
		return err
	}
	if err := p.single(); err != nil || p.conn == nil {
		return err
	}
	p.doing = "silent"
	if err := p.conn.SetReadDeadline(time.Now().Add(between(p.rng, 2*time.Second, 4*time.Second))); err != nil {
		return err
	}
	b, err := p.conn.in.ReadByte()
	switch {
	case err == nil:
		return fmt.Errorf("%w: the byte %q that nobody asked for", errWrong, b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// downloads fetches the large file until the door is shut.
func (p *patron) downloads(ranged bool) {
	defer p.close()
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

// transfer is a download under way: its head, and the bytes that are to come.
type transfer struct {
	head *reply
	want []byte
}

// begin asks for the file or a range of it and reads the head. It returns nil
// when the door is shut.
func (p *patron) begin(ranged bool) (*transfer, error) {
	p.door.RLock()
	defer p.door.RUnlock()
	if p.shut {
		return nil, nil
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
	if err := p.tell("asking for a download", request("GET", p.large.path, fields...)); err != nil {
		return nil, err
	}
	r, err := p.conn.head()
	if err != nil {
		return nil, err
	}
	if r.status != status || r.length != int64(len(want)) || r.header.Get("Content-Range") != content {
		return nil, fmt.Errorf("%w: %d with %d bytes of %q, want %d with %d of %q",
			errWrong, r.status, r.length, r.header.Get("Content-Range"), status, len(want), content)
	}
	p.sending.Add(1)
	return &transfer{r, want}, nil
}

// take reads the body slowly and compares every byte.
func (p *patron) take(d *transfer) error {
	buf := make([]byte, largePiece)
	tick := time.NewTicker(largePace)
	defer tick.Stop()
	for at := 0; at < len(d.want); <-tick.C {
		p.doing = fmt.Sprintf("at byte %d of %d", at, len(d.want))
		if err := p.conn.SetReadDeadline(time.Now().Add(replyTime)); err != nil {
			return err
		}
		n, err := io.ReadFull(p.conn.in, buf[:min(len(buf), len(d.want)-at)])
		if want := d.want[at : at+n]; !bytes.Equal(buf[:n], want) {
			return fmt.Errorf("%w: another byte than expected within %d bytes from byte %d on", errWrong, n, at)
		}
		if at += n; err != nil {
			return err
		}
	}
	p.count()
	return p.after(d.head)
}
