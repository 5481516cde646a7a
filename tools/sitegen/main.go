// Command sitegen generates assets of the demo site: pictures, icons, fonts, a
// sound and a WebAssembly module. Its only input is the Go fonts. It uses
// neither the time nor random numbers, and computes with integers, so the same
// toolchain always writes the same bytes. Everything else in the site is
// written by hand.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/gofont/gosmallcaps"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// An asset is one generated file: its slash-separated path below the site, and
// the function that makes its content.
type asset struct {
	path string
	make func() ([]byte, error)
}

func assets() []asset {
	return []asset{
		{"favicon.ico", favicon},
		{"favicon.svg", faviconSVG},
		{"files/hello.wasm", adder},
		{"fonts/go-bold.woff", font(gobold.TTF)},
		{"fonts/go-mono.woff", font(gomono.TTF)},
		{"fonts/go-regular.woff", font(goregular.TTF)},
		{"fonts/go-smallcaps.woff", font(gosmallcaps.TTF)},
		{"gallery/bronze.jpg", bronze},
		{"gallery/plan.webp", plan},
		{"gallery/wall.png", wall},
		{"img/arms.svg", arms},
		{"img/icon-192.png", iconPNG(192)},
		{"img/icon-512.png", iconPNG(512)},
		{"media/lyre.wav", lyre},
	}
}

func font(ttf []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return woff(ttf) }
}

// run writes the assets and returns the exit code: 0 done, 1 a file could not
// be made or written, 64 wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sitegen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("o", "site", "write the assets below this `directory`")
	verbose := flags.Bool("v", false, "print the name and size of each file")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 64
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "sitegen: unexpected argument %q; the directory is given with -o\n", flags.Arg(0))
		return 64
	}
	for _, a := range assets() {
		n, err := write(*dir, a)
		if err != nil {
			fmt.Fprintf(stderr, "sitegen: %v\n", err)
			return 1
		}
		if *verbose {
			fmt.Fprintf(stdout, "%8d  %s\n", n, a.path)
		}
	}
	return 0
}

func write(dir string, a asset) (int, error) {
	data, err := a.make()
	if err != nil {
		return 0, fmt.Errorf("make %s: %w", a.path, err)
	}
	name := filepath.Join(dir, filepath.FromSlash(a.path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, err
	}
	return len(data), os.WriteFile(name, data, 0o644)
}
