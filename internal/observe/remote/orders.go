package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"phalanx/internal/observe/status"
)

// Reload replaces every worker and waits until that is done. An outcome that
// is not OK is no error: the server has answered why.
func (c *Client) Reload(ctx context.Context) (status.Outcome, error) {
	return c.order(ctx, "/reload", nil)
}

// Scale sets the number of workers, and waits until there are so many.
func (c *Client) Scale(ctx context.Context, workers int) (status.Outcome, error) {
	return c.order(ctx, "/scale", url.Values{"workers": {strconv.Itoa(workers)}})
}

// Stop lets the server finish what it has, and waits until it is gone: until
// nobody listens at the endpoint any more, or a server with another pid does.
// Downloads under way may take long; the end of ctx ends the waiting alone.
func (c *Client) Stop(ctx context.Context) (status.Outcome, error) {
	before, err := c.Pool(ctx)
	if err != nil {
		return status.Outcome{}, err
	}
	outcome, err := c.order(ctx, "/stop", nil)
	switch {
	case err == nil && !outcome.OK:
		return outcome, nil
	case err != nil && !errors.Is(err, errCut) && !gone(err):
		return status.Outcome{}, err
	}
	return c.await(ctx, before.PID)
}

// await waits until the server that had a pid is gone.
func (c *Client) await(ctx context.Context, pid int) (status.Outcome, error) {
	for pause := c.pause; ; pause = min(2*pause, 10*c.pause) {
		now, err := c.Pool(ctx)
		switch {
		case gone(err):
			return status.Outcome{OK: true, Message: "stopped"}, nil
		case err == nil && now.PID != pid:
			return status.Outcome{OK: true, Message: fmt.Sprintf("stopped; pid %d serves in its place", now.PID)}, nil
		case errors.Is(err, fs.ErrPermission):
			return status.Outcome{}, err
		}
		select {
		case <-ctx.Done():
			return status.Outcome{}, c.fail(ctx.Err(), "told to stop, but pid %d is not yet gone", pid)
		case <-time.After(pause):
		}
	}
}

// gone says that an error means that nobody listens.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// order posts one, and waits for as long as ctx lasts.
func (c *Client) order(ctx context.Context, path string, query url.Values) (status.Outcome, error) {
	var outcome status.Outcome
	a, err := c.ask(ctx, http.MethodPost, path, query)
	if err != nil {
		return outcome, c.explain(ctx, err)
	}
	switch a.code {
	case http.StatusOK, http.StatusConflict:
		if err := c.decode(a, &outcome); err != nil {
			return outcome, err
		}
		if outcome.Message == "" {
			return outcome, c.stranger("its answer is JSON of something else")
		}
		return status.Outcome{OK: outcome.OK && a.code == http.StatusOK, Message: printable(outcome.Message)}, nil
	case http.StatusForbidden:
		return outcome, c.fail(fs.ErrPermission, "orders need the unix socket; start master with --admin /PATH/OF/SOCKET and name that here")
	case http.StatusBadRequest:
		if c.decode(a, &outcome) == nil && outcome.Message != "" {
			return status.Outcome{Message: printable(outcome.Message)}, nil
		}
	}
	return outcome, c.stranger(fmt.Sprintf("it answers %q", a.status))
}

// printable has nothing in it that a terminal obeys: who answers may be anybody.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}
