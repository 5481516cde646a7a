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
	goAway bool   // GOAWAY was received
	last   uint32 // last stream that the server processes, if goAway
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

// connectHTTP2 opens an HTTP/2 connection if there is none.
func (c *client) connectHTTP2(buffer int) error {
	if err := c.connect(buffer); err != nil || c.framed != nil {
		return err
	}
	f := &framed{conn: c.conn, scheme: "http", frames: http2.NewFramer(c.conn, c.conn.In), next: 1, last: math.MaxInt32}
	if c.at.tls != nil {
		f.scheme = "https"
	}
	f.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framed, c.doing = f, "sending the preface"
	return f.begin()
}

// multiplex is one request of a client that keeps its HTTP/2 connection.
func (c *client) multiplex() error {
	if err := c.connectHTTP2(0); err != nil {
		return err
	}
	want := c.choose()
	c.doing = "asking for " + want.path
	body, err := c.framed.get(want.path)
	switch {
	case errors.Is(err, errRefused):
		return c.refused()
	case err != nil:
		return err
	case !bytes.Equal(body, want.body):
		return fmt.Errorf("%w: %d bytes %.20q, want %d bytes %.20q", harness.ErrWrong, len(body), body, len(want.body), want.body)
	}
	c.count()
	c.doing = "silent"
	if err := c.framed.listen(harness.Between(c.rng, 5*time.Millisecond, 50*time.Millisecond)); err != nil {
		return err
	}
	if c.framed.goAway {
		return c.awaitClose()
	}
	return nil
}

// refused handles a request that was not processed. The client may send it again.
func (c *client) refused() error {
	if c.framed.goAway {
		return c.awaitClose()
	}
	return nil
}

// awaitClose waits for the server to close the connection after GOAWAY.
func (c *client) awaitClose() error {
	c.doing = "waiting for the end after GOAWAY"
	for {
		err := c.framed.take(nil)
		switch {
		case err == io.EOF:
			c.close()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.announced++
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
	if n := len(r.body); n > 0 && !f.goAway {
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
	for !f.goAway {
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
		f.goAway, f.last = true, frame.LastStreamID
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

// beginStream is [client.begin] over HTTP/2, always for the whole file.
func (c *client) beginStream() (*transfer, error) {
	for {
		if err := c.connectHTTP2(largeBuffer); err != nil {
			return nil, err
		}
		c.doing = "asking for a download"
		r, sent := c.framed.ask(c.large.path)
		var err error
		for r.status == "" && err == nil {
			err = c.framed.take(r)
		}
		switch {
		case errors.Is(err, errRefused):
			if err := c.refused(); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, errors.Join(err, sent)
		}
		if err := r.ok(); err != nil {
			return nil, err
		}
		c.fresh = false
		c.sending.Add(1)
		return &transfer{want: c.large.body, stream: r}, nil
	}
}

// takeStream is [client.take] over HTTP/2. It opens the window at the pace of the download.
func (c *client) takeStream(d *transfer) error {
	tick := time.NewTicker(largePace)
	defer tick.Stop()
	f, r, at, used := c.framed, d.stream, 0, 0
	for !r.complete {
		c.doing = fmt.Sprintf("at byte %d of %d", at, len(d.want))
		if err := c.conn.SetDeadline(time.Now().Add(replyTime)); err != nil {
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
	c.count()
	if f.goAway {
		return c.awaitClose()
	}
	return nil
}
