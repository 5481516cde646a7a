package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// Reload reloads the pool and waits until all workers are replaced. An outcome
// that is not OK is not an error: its message says why.
func (c *Client) Reload(ctx context.Context) (status.Outcome, error) {
	return c.order(ctx, "/reload", nil)
}

// Scale sets the number of workers and waits until it is reached.
func (c *Client) Scale(ctx context.Context, workers int) (status.Outcome, error) {
	return c.order(ctx, "/scale", url.Values{"workers": {strconv.Itoa(workers)}})
}

// Stop drains the server and waits until it has exited: until nothing listens at
// the endpoint, or a server with another pid does. Downloads under way may take
// long; when ctx ends, only the waiting ends.
func (c *Client) Stop(ctx context.Context) (status.Outcome, error) {
	before, err := c.Pool(ctx)
	if err != nil {
		return status.Outcome{}, err
	}
	outcome, err := c.order(ctx, "/stop", nil)
	switch {
	case err == nil && !outcome.OK:
		return outcome, nil
	case err != nil && !errors.Is(err, errClosed) && !gone(err):
		return status.Outcome{}, err
	}
	return c.await(ctx, before.PID)
}

// await waits until the server with the given pid has exited.
func (c *Client) await(ctx context.Context, pid int) (status.Outcome, error) {
	for pause := c.pause; ; pause = min(2*pause, 10*c.pause) {
		now, err := c.Pool(ctx)
		switch {
		case gone(err):
			return status.Outcome{OK: true, Message: "stopped"}, nil
		case err == nil && now.PID != pid:
			return status.Outcome{OK: true, Message: fmt.Sprintf("stopped; another server, pid %d, listens there now", now.PID)}, nil
		case errors.Is(err, fs.ErrPermission):
			return status.Outcome{}, err
		}
		select {
		case <-ctx.Done():
			return status.Outcome{}, c.fail(ctx.Err(), "stop requested, but pid %d is still running", pid)
		case <-time.After(pause):
		}
	}
}

// gone reports whether an error means that no server listens.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// order sends an order and waits for its outcome until ctx ends.
func (c *Client) order(ctx context.Context, path string, query url.Values) (status.Outcome, error) {
	var outcome status.Outcome
	a, err := c.do(ctx, http.MethodPost, path, query)
	if err != nil {
		return outcome, c.explain(ctx, err)
	}
	switch a.code {
	case http.StatusOK, http.StatusConflict:
		if err := c.decode(a, &outcome); err != nil {
			return outcome, err
		}
		if outcome.Message == "" {
			return outcome, c.notPhalanx("unexpected JSON")
		}
		return status.Outcome{OK: outcome.OK && a.code == http.StatusOK, Message: human.Visible(outcome.Message)}, nil
	case http.StatusForbidden, http.StatusUnauthorized: // with a token they are refused over TCP too
		return outcome, c.fail(fs.ErrPermission, "reload, stop and scale need a unix socket; start the server with --admin /PATH/TO/SOCKET and give the same path here")
	case http.StatusBadRequest:
		if c.decode(a, &outcome) == nil && outcome.Message != "" {
			return status.Outcome{Message: human.Visible(outcome.Message)}, nil
		}
	}
	return outcome, c.notPhalanx(fmt.Sprintf("status %q", a.status))
}
