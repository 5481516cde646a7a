package chaos

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"phalanx/e2e/harness"
)

// errRefused is a request that the client may send again (RFC 9113 §8.7): its stream is above
// the last one in GOAWAY, or was reset with REFUSED_STREAM.
var errRefused = errors.New("not processed")

const h2Window = 1 << 20 // bytes of a stream's window, more than a page has

// framed is an HTTP/2 connection with one request at a time.
type framed struct {
	conn   *harness.Client
	scheme string
	frames *http2.Framer
	next   uint32 // stream ID
	told   bool   // GOAWAY was received
	last   uint32 // last stream that the server processes, if told
}

// overHTTP2 returns an address for clients that speak HTTP/2.
func overHTTP2(a address) address {
	a.http2 = true
	if a.tls == nil {
		a.over = " over h2c"
		return a
	}
	a.over, a.tls = " over HTTP/2", a.tls.Clone()
	a.tls.NextProtos, a.tls.ClientSessionCache = []string{"h2"}, tls.NewLRUClientSessionCache(0)
	return a
}

// greet opens an HTTP/2 connection if there is none.
func (p *patron) greet(buffer int) error {
	if err := p.reach(buffer); err != nil || p.framed != nil {
		return err
	}
	f := &framed{conn: p.conn, scheme: "http", frames: http2.NewFramer(p.conn, p.conn.In), next: 1, last: math.MaxInt32}
	if p.at.tls != nil {
		f.scheme = "https"
	}
	f.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.framed, p.doing = f, "sending the preface"
	return f.begin()
}

// multiplex is one request of a client that keeps its HTTP/2 connection.
func (p *patron) multiplex() error {
	if err := p.greet(0); err != nil {
		return err
	}
	want := p.choose()
	p.doing = "asking for " + want.path
	body, err := p.framed.get(want.path)
	switch {
	case errors.Is(err, errRefused):
		return p.refused()
	case err != nil:
		return err
	case !bytes.Equal(body, want.body):
		return fmt.Errorf("%w: %d bytes %.20q, want %d bytes %.20q", harness.ErrWrong, len(body), body, len(want.body), want.body)
	}
	p.count()
	p.doing = "silent"
	if err := p.framed.listen(harness.Between(p.rng, 5*time.Millisecond, 50*time.Millisecond)); err != nil {
		return err
	}
	if p.framed.told {
		return p.ended()
	}
	return nil
}

// refused handles a request that was not processed. The client may send it again.
func (p *patron) refused() error {
	if p.framed.told {
		return p.ended()
	}
	return nil
}

// ended waits for the server to close the connection after GOAWAY.
func (p *patron) ended() error {
	p.doing = "waiting for the end after GOAWAY"
	for {
		err := p.framed.take(nil)
		switch {
		case err == io.EOF:
			p.close()
			p.mu.Lock()
			defer p.mu.Unlock()
			p.announced++
			return nil
		case err != nil:
			return err
		}
	}
}

// begin sends the preface and opens windows larger than any page.
func (f *framed) begin() error {
	if err := f.conn.Send(http2.ClientPreface); err != nil {
		return err
	}
	return errors.Join(
		f.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: h2Window}),
		f.frames.WriteWindowUpdate(0, 1<<30),
	)
}

// response is what has been received of a response.
type response struct {
	stream   uint32
	status   string
	body     []byte
	complete bool
}

// ask sends a request.
func (f *framed) ask(path string) (*response, error) {
	var block bytes.Buffer
	fields := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", f.scheme}, {":authority", "phalanx.test"}, {":path", path}} {
		if err := fields.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return nil, err
		}
	}
	r := &response{stream: f.next}
	f.next += 2
	return r, f.frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: r.stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true,
	})
}

// get requests a page and returns its content.
func (f *framed) get(path string) ([]byte, error) {
	r, sent := f.ask(path)
	// Even if sending failed: a GOAWAY that came before says whether the request was processed.
	for r != nil && !r.complete {
		if err := f.take(r); err != nil {
			return nil, errors.Join(err, sent)
		}
	}
	if err := r.ok(); err != nil {
		return nil, err
	}
	if n := len(r.body); n > 0 && !f.told {
		return r.body, f.frames.WriteWindowUpdate(0, uint32(n))
	}
	return r.body, nil
}

func (r *response) ok() error {
	if r.status != "200" {
		return fmt.Errorf("%w: status %s, want 200", harness.ErrWrong, r.status)
	}
	return nil
}

// listen handles the frames that arrive while no request is under way.
func (f *framed) listen(during time.Duration) error {
	until := time.Now().Add(during)
	for !f.told {
		if err := f.conn.SetReadDeadline(until); err != nil {
			return err
		}
		_, quiet := f.conn.In.Peek(1)
		if err := f.conn.SetReadDeadline(time.Now().Add(replyTime)); err != nil {
			return err
		}
		if errors.Is(quiet, os.ErrDeadlineExceeded) {
			return nil
		}
		if err := f.take(nil); err != nil {
			return err
		}
	}
	return nil
}

// take reads one frame. r is the response that is awaited, or nil.
func (f *framed) take(r *response) error {
	frame, err := f.frames.ReadFrame()
	if err != nil {
		return err
	}
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return f.frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return f.frames.WritePing(true, frame.Data)
		}
	case *http2.WindowUpdateFrame:
	case *http2.GoAwayFrame:
		if frame.ErrCode != http2.ErrCodeNo || frame.LastStreamID > f.last {
			return fmt.Errorf("%w: %v after a last stream ID of %d", harness.ErrWrong, frame, f.last)
		}
		f.told, f.last = true, frame.LastStreamID
		if r != nil && r.stream > f.last {
			return errRefused
		}
	default:
		if r == nil || frame.Header().StreamID != r.stream {
			return fmt.Errorf("%w: unexpected %v", harness.ErrWrong, frame)
		}
		return r.take(frame)
	}
	return nil
}

// take adds a frame of the response's stream to it.
func (r *response) take(frame http2.Frame) error {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		r.status, r.complete = frame.PseudoValue("status"), frame.StreamEnded()
	case *http2.DataFrame:
		r.body, r.complete = append(r.body, frame.Data()...), frame.StreamEnded()
	case *http2.RSTStreamFrame:
		if frame.ErrCode == http2.ErrCodeRefusedStream {
			return errRefused
		}
		return fmt.Errorf("%w: %v", harness.ErrWrong, frame)
	default:
		return fmt.Errorf("%w: %v", harness.ErrWrong, frame)
	}
	return nil
}

// beginStream is [patron.begin] over HTTP/2, always for the whole file.
func (p *patron) beginStream() (*transfer, error) {
	for {
		if err := p.greet(largeBuffer); err != nil {
			return nil, err
		}
		p.doing = "asking for a download"
		r, sent := p.framed.ask(p.large.path)
		var err error
		for r.status == "" && err == nil {
			err = p.framed.take(r)
		}
		switch {
		case errors.Is(err, errRefused):
			if err := p.refused(); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, errors.Join(err, sent)
		}
		if err := r.ok(); err != nil {
			return nil, err
		}
		p.fresh = false
		p.sending.Add(1)
		return &transfer{want: p.large.body, stream: r}, nil
	}
}

// takeStream is [patron.take] over HTTP/2. It opens the window at the pace of the download.
func (p *patron) takeStream(d *transfer) error {
	tick := time.NewTicker(largePace)
	defer tick.Stop()
	f, r, at, used := p.framed, d.stream, 0, 0
	for !r.complete {
		p.doing = fmt.Sprintf("at byte %d of %d", at, len(d.want))
		if err := p.conn.SetDeadline(time.Now().Add(replyTime)); err != nil {
			return err
		}
		if err := f.take(r); err != nil {
			return err
		}
		n := len(r.body)
		if n > len(d.want)-at || !bytes.Equal(r.body, d.want[at:at+n]) {
			return fmt.Errorf("%w: wrong content in the %d bytes from byte %d on", harness.ErrWrong, n, at)
		}
		r.body, at, used = r.body[:0], at+n, used+n
		if used < largePiece || r.complete {
			continue
		}
		if err := errors.Join(f.frames.WriteWindowUpdate(0, uint32(used)), f.frames.WriteWindowUpdate(r.stream, uint32(used))); err != nil {
			return err
		}
		used = 0
		<-tick.C
	}
	if at < len(d.want) {
		return fmt.Errorf("%w: the response has %d bytes, want %d", harness.ErrWrong, at, len(d.want))
	}
	p.count()
	if f.told {
		return p.ended()
	}
	return nil
}
