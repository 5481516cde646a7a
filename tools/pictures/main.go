// Command pictures takes the pictures in docs/images from a real run. It serves the demo
// site and some large files with four workers, loads them over loopback for a minute, and
// then takes pictures of `master top` in tmux, and in Chromium of each page that Phalanx
// generates: light and dark, on a large screen and on a phone. Pictures that documents
// show go to docs/images, the others to bin/images for review. `make pictures` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 for success, 1 for failure, 64 for wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("pictures", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("o", "docs/images", "write the pictures to this `directory`")
	rest := flags.String("rest", "bin/images", "write the pictures that no document shows to this `directory`")
	site := flags.String("site", "site", "copy the demo site from this `directory`")
	bin := flags.String("bin", "bin", "the `directory` of master and worker")
	warm := flags.Duration("for", 64*time.Second, "how long to load the server before taking the pictures")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 64
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := take(ctx, *site, *bin, *dir, *rest, *warm, stdout); err != nil {
		fmt.Fprintf(stderr, "pictures: %v\n", err)
		return 1
	}
	return 0
}

// take starts the server and its clients, takes the pictures, and stops both.
func take(ctx context.Context, site, bin, dir, rest string, warm time.Duration, stdout io.Writer) (err error) {
	master, err := filepath.Abs(filepath.Join(bin, "master"))
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(rest, 0o755)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "serving %s on %s for %v, then taking pictures\n", base, address, warm)
	p, err := serve(ctx, master, site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	crowd := busy(ctx)
	defer crowd.end()
	if err := crowd.last(ctx, warm); err != nil {
		return err
	}
	b, err := browse(ctx)
	if err != nil {
		return err
	}
	defer b.end()
	if err := terminals(ctx, b, master, dir, stdout); err != nil {
		return err
	}
	return pages(b, dir, rest, stdout)
}

// terminals takes the pictures of `master top`.
func terminals(ctx context.Context, b *browser, master, dir string, stdout io.Writer) error {
	s, err := openScreen(ctx, master)
	if err != nil {
		return err
	}
	defer s.end()
	down, err := busiest()
	if err != nil {
		return fmt.Errorf("find the busiest worker: %w", err)
	}
	for _, picture := range []struct {
		file, shows string
		keys        []string
	}{
		{"top.png", "OLDEST REQUEST", slices.Repeat([]string{"Down"}, down)},
		{"top-connections.png", "PROGRESS", []string{"Enter"}},
	} {
		text, err := s.after(picture.keys, picture.shows)
		if err != nil {
			return err
		}
		png, err := b.draw(page(cells(text)))
		if err != nil {
			return fmt.Errorf("draw %s: %w", picture.file, err)
		}
		if err := save(filepath.Join(dir, picture.file), png, stdout); err != nil {
			return err
		}
	}
	return nil
}

// pages takes four pictures of each page that Phalanx generates.
func pages(b *browser, dir, rest string, stdout io.Writer) error {
	shown := []string{"status.png", "status-dark.png"}
	for _, page := range []struct{ name, url string }{
		{"status", "http://" + admin + "/status"},
		{"listing", "http://" + address + "/downloads/"},
		{"error", "http://" + address + "/%zz"}, // the site has no custom page for this error
	} {
		for _, form := range []struct {
			name          string
			width, height int64
			theme         string
		}{
			{".png", 1280, 0, "light"}, {"-dark.png", 1280, 0, "dark"},
			{"-phone.png", 390, 844, "light"}, {"-phone-dark.png", 390, 844, "dark"},
		} {
			file, to := page.name+form.name, rest
			if slices.Contains(shown, file) {
				to = dir
			}
			png, err := b.shoot(page.url, form.width, form.height, form.theme)
			if err != nil {
				return fmt.Errorf("take %s: %w", file, err)
			}
			if err := save(filepath.Join(to, file), png, stdout); err != nil {
				return err
			}
		}
	}
	return nil
}

// save writes a picture with at most 256 colours and prints its size in bytes.
func save(path string, png []byte, stdout io.Writer) error {
	small, err := shrink(png)
	if err != nil {
		return fmt.Errorf("make %s smaller: %w", path, err)
	}
	if err := os.WriteFile(path, small, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%8d  %s\n", len(small), path)
	return err
}
