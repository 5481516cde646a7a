package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"phalanx/internal/compress"
	"phalanx/internal/exitcode"
	"phalanx/internal/human"
	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/website"
)

// runCompress writes compressed copies of the sites' files and prints a summary.
func runCompress(c *options.Command, stdout, stderr *os.File) error {
	o, err := options.CheckSites(c.Options)
	if err != nil {
		return err
	}
	sites, err := website.OpenSites(o)
	if err != nil {
		return exitcode.New(exitcode.Config, err.Error(), err)
	}
	defer sites.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	r, err := compressSites(ctx, sites, c, stderr)
	switch {
	case errors.Is(err, context.Canceled):
		return exitcode.New(exitcode.Forced, "compress: interrupted after "+copies(r.Made)+"; run it again to continue", err)
	case errors.Is(err, compress.ErrBusy):
		return fmt.Errorf("compress: %w; wait for it", err)
	case err != nil:
		return fmt.Errorf("compress: %s; %s made; %s, and run it again", inTree(err), copies(r.Made), compressCure(err))
	}
	if _, err := fmt.Fprintln(stdout, summary(r, c.Compress.DryRun)); err != nil {
		return err
	}
	if r.Failed > 0 {
		return fmt.Errorf("compress: %s not made; the first: %s; %s, and run it again", copies(r.Failed), inTree(r.First), compressCure(r.First))
	}
	return nil
}

// compressSites compresses one site after the other, until one fails, with a progress line on a
// terminal.
func compressSites(ctx context.Context, sites *website.Sites, c *options.Command, stderr *os.File) (all compress.Result, err error) {
	out := logging.NewWriter(stderr, logging.Auto)
	defer out.Close()
	line := logging.NewStatus(stderr, out, os.Getenv("TERM"))
	defer line.Clear()
	cfg := compress.Config{Level: compress.Best, Jobs: runtime.GOMAXPROCS(0), DryRun: c.Compress.DryRun}
	if c.Compress.Level == options.LevelFast {
		cfg.Level = compress.Fast
	}
	for coding := proto.Brotli; coding > proto.Identity; coding-- {
		if slices.Contains(c.Compress.Codings, coding.Token()) {
			cfg.Codings = append(cfg.Codings, coding)
		}
	}
	for number, root := range sites.All() {
		p := &compressProgress{began: time.Now(), line: line}
		cfg.Progress = p.show
		r, err := compress.Tree(ctx, root, cfg)
		all.Add(r)
		if err != nil {
			return all, sites.Named(number, err)
		}
	}
	return all, nil
}

// compressProgress shows progress in a status line.
type compressProgress struct {
	began time.Time
	line  *logging.Status // nil: not a terminal

	mu    sync.Mutex // guards shown
	shown time.Time
}

// showEvery is the shortest time between two changes of the line.
const showEvery = 100 * time.Millisecond

func (p *compressProgress) show(now compress.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line == nil || time.Since(p.shown) < showEvery {
		return
	}
	p.shown = time.Now()
	p.line.Show(describeCompression(now, time.Since(p.began)))
}

// describeCompression returns the progress line, with the estimated time left.
func describeCompression(p compress.Progress, took time.Duration) string {
	share := float64(p.Bytes) / float64(max(p.AllBytes, 1))
	const width = 20
	full := int(math.Ceil(share * width))
	bar := strings.Repeat("#", full) + strings.Repeat(".", width-full)
	text := fmt.Sprintf("compressing [%s] %s, %s of %s copies", bar, human.Percent(share), human.Count(p.Copies), human.Count(p.AllCopies))
	if left := time.Duration(float64(took) * (1 - share) / max(share, 0.001)); took > time.Second {
		text += fmt.Sprintf(", about %s left", human.Age(left.Seconds()))
	}
	return text + "; Ctrl-C stops"
}

// summary returns the result in one line.
func summary(r compress.Result, dry bool) string {
	if dry {
		text := copies(r.Made) + " would be made of " + human.Plural(r.Files, "file", "files")
		if r.Removed > 0 {
			text += ", " + human.Count(r.Removed) + " removed"
		}
		return text
	}
	text := copies(r.Made) + " made of " + human.Plural(r.Files, "file", "files")
	if r.Made > 0 {
		text += fmt.Sprintf(": %s became %s", human.Bytes(r.Before), human.Bytes(r.After))
	}
	for _, more := range []struct {
		n    int
		what string
	}{{r.UpToDate, "up to date"}, {r.NotWorth, "not worth it"}, {r.Removed, "removed"}} {
		if more.n > 0 {
			text += fmt.Sprintf("; %s %s", human.Count(more.n), more.what)
		}
	}
	if r.Foreign > 0 {
		text += fmt.Sprintf("; %s by another program, older than their file and so not sent, such as %s: delete these, and run it again", human.Count(r.Foreign), human.Quoted(r.FirstForeign))
	}
	return text
}

func copies(n int) string { return human.Plural(n, "copy", "copies") }

// inTree formats an error about a file, whose path is relative to the root.
func inTree(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("%s %s: %v", e.Op, human.Quoted(e.Path), e.Err)
	}
	return err.Error()
}

// compressCure returns what to do about an error.
func compressCure(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space"
	case errors.Is(err, syscall.EROFS):
		return "mount it writable, or compress where the site is built"
	case errors.Is(err, fs.ErrPermission):
		return "run it as the owner of the directory"
	case errors.Is(err, compress.ErrUntrusted):
		return "delete it"
	case errors.Is(err, compress.ErrChanged):
		return "wait until nothing writes to it"
	}
	return "correct the error"
}
