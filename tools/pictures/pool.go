package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"phalanx/internal/observe/status"
)

// These are fixed because the pictures show them.
const (
	base    = "/tmp/site"
	address = "127.0.0.1:8080"
	admin   = "127.0.0.1:9180"
)

// large lists the sparse files and their sizes in bytes.
var large = map[string]int64{
	"downloads/desktop-26.04.iso": 5_400 << 20,
	"downloads/firmware-2.14.img": 640 << 20,
	"media/keynote-1080p.mp4":     1_900 << 20,
	"media/interview.flac":        310 << 20,
	"backup/2026-06-01.tar.zst":   12_700 << 20,
}

// pool is the server of the pictures.
type pool struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	exited chan error // receives the result of Wait
}

// serve creates the document root, starts a master, and returns when it is ready.
func serve(ctx context.Context, master, site string) (*pool, error) {
	if err := os.Mkdir(base, 0o755); err != nil {
		return nil, fmt.Errorf("%w; remove it", err)
	}
	p := &pool{exited: make(chan error, 1)}
	if err := fill(site); err != nil {
		return nil, errors.Join(err, os.RemoveAll(base))
	}
	host, port, _ := net.SplitHostPort(address)
	p.cmd = exec.Command(master, "--base", base, "--bind", host, "--port", port, "--workers", "4", "--list", "--admin", admin)
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(base))
	}
	go func() { p.exited <- p.cmd.Wait() }()
	for {
		// A different pid means that another process has the port.
		var seen status.Pool
		if ask("/status.json", &seen) == nil && seen.Ready && seen.PID == p.cmd.Process.Pid {
			return p, nil
		}
		select {
		case err := <-p.exited:
			return nil, errors.Join(fmt.Errorf("%s: %w: %s", master, err, bytes.TrimSpace(p.stderr.Bytes())), os.RemoveAll(base))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), p.end())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fill copies the demo site and adds the large files.
func fill(site string) error {
	if err := os.CopyFS(base, os.DirFS(site)); err != nil {
		return fmt.Errorf("copy the demo site: %w", err)
	}
	for name, size := range large {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		if err := os.Truncate(path, size); err != nil {
			return err
		}
	}
	return nil
}

// end stops the server immediately and removes its files.
func (p *pool) end() error {
	var err error
	for range 2 { // the second signal aborts the downloads
		err = p.cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(100 * time.Millisecond) // signals within 30 ms count as one
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-p.exited
	return errors.Join(err, os.RemoveAll(base))
}
