package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Clients over TLS offer TLS 1.3 with X25519, which every server takes; whom they
// speak to is not measured.
func settings() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		NextProtos: []string{"http/1.1"},
	}
}

// Handshakes are clients that make a connection for each request, one after the
// other.
type Handshakes struct {
	Address string
	Path    string
	Clients int
	Resumed bool // each connection but the first resumes the session of the one before
	Last    time.Duration
}

// Run lets all clients work for their time and returns how many requests were
// answered. Any failure is an error, as is a handshake of the wrong kind.
func (h Handshakes) Run(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Last)
	defer cancel()
	var answered atomic.Int64
	errs := make([]error, h.Clients)
	var joined sync.WaitGroup
	for i := range h.Clients {
		joined.Go(func() {
			cfg := settings()
			if h.Resumed {
				cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			for first := true; ctx.Err() == nil; first = false {
				if errs[i] = h.one(ctx, cfg, first); errs[i] != nil {
					return
				}
				answered.Add(1)
			}
		})
	}
	joined.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	return answered.Load(), nil
}

// one makes one request, which is finished though the time is over. Only a first
// connection makes a full handshake where they are to be resumed.
func (h Handshakes) one(ctx context.Context, cfg *tls.Config, first bool) error {
	raw, err := net.DialTimeout("tcp", h.Address, 20*time.Second)
	if err != nil {
		return err
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second)) // reading tells
	c := tls.Client(raw, cfg)
	if err := request(c, h.Path, "Connection: close\r\n"); err != nil {
		return err
	}
	if resumed := c.ConnectionState().DidResume; resumed != (h.Resumed && !first) {
		return fmt.Errorf("a handshake was resumed: %v", resumed)
	}
	return nil
}

// request makes a request, perhaps with a field more, and reads the response.
func request(c net.Conn, path, field string) error {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, field); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("the reply is %q", r.Status)
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// holdSecure is what [hold] does, over TLS.
func (c *client) holdSecure(path string) *client {
	_ = c.conn.SetDeadline(time.Now().Add(5 * time.Second)) // reading tells
	if request(tls.Client(c.conn, settings()), path, "") != nil {
		c.conn.Close()
		return nil
	}
	return c
}

// WholeSecure lets one client download the whole file over TLS, and returns how many
// bytes came after the handshake: records, which are thrown away as they are.
func (w Crowd) WholeSecure(ctx context.Context) (int64, error) {
	c, err := dial(ctx, w.Address, 0)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	_ = c.conn.SetDeadline(time.Now().Add(w.Last)) // reading tells
	secured := tls.Client(c.conn, settings())
	if _, err := fmt.Fprintf(secured, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", w.Path); err != nil {
		return 0, err
	}
	scratch := make([]byte, gulp)
	for {
		if _, err := c.discard(gulp, scratch); errors.Is(err, io.ErrUnexpectedEOF) {
			return c.received.Load(), nil // the end of the connection
		} else if err != nil {
			return 0, err
		}
	}
}
