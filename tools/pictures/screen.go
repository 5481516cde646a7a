package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const columns, rows = 100, 30

// settled is how long top runs until it can show the rate of each download.
const settled = 8 * time.Second

// screen is a separate tmux server that runs `master top`.
type screen struct {
	ctx context.Context
	dir string
}

func openScreen(ctx context.Context, master string) (*screen, error) {
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return nil, err
	}
	s := &screen{ctx, dir}
	command := fmt.Sprintf("env -u NO_COLOR TERM=tmux-256color COLORTERM=truecolor LC_ALL=C.UTF-8 %s top --admin %s", master, admin)
	if _, err := s.tmux("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), command); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *screen) end() {
	_, _ = s.tmux("kill-server") // an error means that top has exited already
	_ = os.RemoveAll(s.dir)
}

func (s *screen) tmux(args ...string) (string, error) {
	cmd := exec.CommandContext(s.ctx, "tmux", append([]string{"-u", "-S", filepath.Join(s.dir, "socket")}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// after presses keys when top has started, waits until the screen shows a text,
// and returns the screen, with its colours, some updates later.
func (s *screen) after(keys []string, shows string) (string, error) {
	if err := s.until("req/s", "CLIENT"); err != nil {
		return "", err
	}
	for _, key := range keys {
		if _, err := s.tmux("send-keys", key); err != nil {
			return "", err
		}
	}
	if err := s.until(shows); err != nil {
		return "", err
	}
	if !wait(s.ctx, settled) {
		return "", s.ctx.Err()
	}
	return s.tmux("capture-pane", "-p", "-e", "-N")
}

// until waits until the screen shows one of the texts.
func (s *screen) until(texts ...string) error {
	const attempts = 100
	for range attempts {
		now, err := s.tmux("capture-pane", "-p")
		if err != nil {
			return err
		}
		for _, text := range texts {
			if strings.Contains(now, text) {
				return nil
			}
		}
		if !wait(s.ctx, 100*time.Millisecond) {
			return s.ctx.Err()
		}
	}
	return fmt.Errorf("top shows none of %q", texts)
}
