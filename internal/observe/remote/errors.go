package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
)

var (
	errAddress = errors.New("no address")
	errLong    = errors.New("its answer is too long")
	errCut     = errors.New("the server has ended before it answered")
)

// failure is a whole sentence with its cause, which is not always part of it.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

func (c *Client) fail(cause error, format string, args ...any) error {
	return &failure{fmt.Sprintf("admin endpoint %s: ", c.addr) + fmt.Sprintf(format, args...), cause}
}

// stranger is for an answer that no Phalanx gives.
func (c *Client) stranger(why string) error {
	return c.fail(nil, "that is no Phalanx: %s", why)
}

// explain makes a sentence of what went wrong with a request. ctx is the
// caller's, without the limit for looks.
func (c *Client) explain(ctx context.Context, err error) error {
	var unknown *net.DNSError
	var dial *net.OpError
	dialling := errors.As(err, &dial) && dial.Op == "dial"
	var timeout net.Error
	switch {
	case errors.Is(err, errAddress):
		return c.fail(err, "neither HOST:PORT nor the path of a socket, which has a slash")
	case errors.Is(err, errLong):
		return c.stranger(err.Error())
	case ctx.Err() != nil:
		return c.fail(ctx.Err(), "no answer yet: %v", ctx.Err())
	case errors.As(err, &unknown):
		return c.fail(err, "the host %q is not known", unknown.Name)
	case errors.As(err, &timeout) && timeout.Timeout():
		return c.fail(err, "no answer within %v", c.look)
	case c.unix && dialling:
		return c.explainSocket(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.fail(err, "nobody answers (connection refused); start master with --admin %s", c.addr)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return c.fail(errCut, "%v", errCut)
	case dialling:
		return c.fail(err, "%v", dial.Err)
	}
	return c.stranger(inner(err).Error())
}

// explainSocket says why a unix socket could not be connected to (unix(7)).
func (c *Client) explainSocket(err error) error {
	info, look := os.Stat(c.addr)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.fail(fs.ErrNotExist, "no such socket; start master with --admin %s", c.addr)
	case look == nil && info.Mode().Type() != fs.ModeSocket:
		return c.fail(nil, "that is no socket; name the one that master has for --admin")
	case errors.Is(err, fs.ErrPermission):
		owner := "another user"
		if look == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				owner = fmt.Sprintf("user %d", s.Uid)
			}
		}
		return c.fail(fs.ErrPermission, "permission denied; the socket belongs to %s, who runs master", owner)
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.fail(err, "nobody answers (connection refused); the server that made this socket is gone")
	}
	return c.fail(err, "%v", inner(err))
}

// inner is the last cause of an error.
func inner(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
