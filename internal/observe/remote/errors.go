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

	"phalanx/internal/exitcode"
)

var (
	errLong   = errors.New("response too large")
	errClosed = errors.New("the server closed the connection without a response")
)

// fail returns an error whose text need not contain its cause, which callers find with errors.Is.
func (c *Client) fail(cause error, format string, args ...any) error {
	return exitcode.New(exitcode.Failure, fmt.Sprintf("admin endpoint %s: ", c.addr)+fmt.Sprintf(format, args...), cause)
}

// notPhalanx returns the error for a response that cannot come from Phalanx.
func (c *Client) notPhalanx(why string) error {
	return c.fail(nil, "not a Phalanx admin endpoint: %s", why)
}

// unauthorized returns the error for status 401.
func (c *Client) unauthorized() error {
	if c.token != "" {
		return c.fail(nil, "the token was refused; give the same --admin-token-file as the server's")
	}
	return c.fail(nil, "a token is required; give --admin-token-file FILE")
}

// explain turns the error of a request into a sentence. ctx is the caller's,
// without the timeout of queries.
func (c *Client) explain(ctx context.Context, err error) error {
	var unknown *net.DNSError
	var dial *net.OpError
	dialling := errors.As(err, &dial) && dial.Op == "dial"
	var timeout net.Error
	switch {
	case errors.Is(err, errLong):
		return c.notPhalanx(err.Error())
	case ctx.Err() != nil:
		return c.fail(ctx.Err(), "no response: %v", ctx.Err())
	case errors.As(err, &unknown):
		return c.fail(err, "host %q cannot be resolved", unknown.Name)
	case errors.As(err, &timeout) && timeout.Timeout():
		return c.fail(err, "no response within %v", c.look)
	case c.addr.Unix() && dialling:
		return c.explainSocket(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.fail(err, "connection refused; start the server with --admin %s", c.addr)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return c.fail(errClosed, "%v", errClosed)
	case dialling:
		return c.fail(err, "%v", dial.Err)
	}
	return c.notPhalanx(inner(err).Error())
}

// explainSocket says why connecting to a unix socket failed (unix(7)).
func (c *Client) explainSocket(err error) error {
	info, look := os.Stat(string(c.addr))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.fail(fs.ErrNotExist, "no such socket; start the server with --admin %s", c.addr)
	case look == nil && info.Mode().Type() != fs.ModeSocket:
		return c.fail(nil, "not a socket; give the same path as the server's --admin")
	case errors.Is(err, fs.ErrPermission):
		owner := "the user that runs master"
		if look == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				owner = fmt.Sprintf("user %d", s.Uid)
			}
		}
		return c.fail(fs.ErrPermission, "permission denied; run this command as %s", owner)
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.fail(err, "connection refused: the server that created this socket has exited; start it again")
	}
	return c.fail(err, "%v", inner(err))
}

// inner returns the innermost cause of an error.
func inner(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
