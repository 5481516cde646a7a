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

// settings returns the configuration of TLS clients: TLS 1.3 with X25519, which every
// server supports. Verifying the certificate is no part of the measurement.
func settings() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		NextProtos: []string{"http/1.1"},
	}
}

// Handshakes is a load of clients that open a connection for each request, one
// after another.
type Handshakes struct {
	Address string
	Path    string
	Clients int
	Resumed bool // each connection but the first resumes the previous session
	Last    time.Duration
}

// Run runs all clients until Last is over and returns how many responses they
// received. Any failure is an error, and so is a handshake of the wrong kind.
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

// one makes one request, and finishes it even if the time is over. If sessions are
// to be resumed, only the first connection of a client makes a full handshake.
func (h Handshakes) one(ctx context.Context, cfg *tls.Config, first bool) error {
	raw, err := net.DialTimeout("tcp", h.Address, 20*time.Second)
	if err != nil {
		return err
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second)) // a failure shows in the read
	c := tls.Client(raw, cfg)
	if err := request(c, h.Path, "Connection: close\r\n"); err != nil {
		return err
	}
	if resumed := c.ConnectionState().DidResume; resumed != (h.Resumed && !first) {
		return fmt.Errorf("handshake resumed: %v, want %v", resumed, !resumed)
	}
	return nil
}

// request makes a request and reads the response. field is an additional header field
// that ends in CRLF, or empty.
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
		return fmt.Errorf("unexpected response %q", r.Status)
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// holdSecure is [hold] over TLS.
func (c *client) holdSecure(path string) *client {
	_ = c.conn.SetDeadline(time.Now().Add(5 * time.Second)) // a failure shows in the read
	if request(tls.Client(c.conn, settings()), path, "") != nil {
		c.conn.Close()
		return nil
	}
	return c
}

// WholeSecure downloads the whole file over TLS with one client. It returns how many
// bytes arrived after the handshake, in records, which it discards without decrypting.
func (w Crowd) WholeSecure(ctx context.Context) (int64, error) {
	c, err := dial(ctx, w.Address, 0)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	_ = c.conn.SetDeadline(time.Now().Add(w.Last)) // a failure shows in the read
	secured := tls.Client(c.conn, settings())
	if _, err := fmt.Fprintf(secured, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", w.Path); err != nil {
		return 0, err
	}
	scratch := make([]byte, discardMax)
	for {
		if _, err := c.discard(discardMax, scratch); errors.Is(err, io.ErrUnexpectedEOF) {
			return c.received.Load(), nil // the end of the connection
		} else if err != nil {
			return 0, err
		}
	}
}
