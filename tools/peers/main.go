// Command peers serves a directory with one of the Go servers that Phalanx is
// compared with, configured as its documentation advises for static files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/prefork"
)

const idle = 30 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	server := flags.String("server", "", "net/http, fasthttp or fasthttp-prefork")
	base := flags.String("base", ".", "directory to serve")
	port := flags.Int("port", 8080, "TCP port")
	version := flags.String("version", "", "print the version of this server")
	if flags.Parse(args) != nil {
		return 64
	}
	if *version != "" {
		fmt.Fprintln(stdout, versionOf(*version))
		return 0
	}
	if err := serve(*server, *base, fmt.Sprintf(":%d", *port)); err != nil {
		fmt.Fprintf(stderr, "peers: %v\n", err)
		return 1
	}
	return 0
}

func versionOf(server string) string {
	if server == "net/http" {
		return strings.TrimPrefix(runtime.Version(), "go")
	}
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == "github.com/valyala/fasthttp" {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}

func serve(server, base, address string) error {
	switch server {
	case "net/http":
		s := http.Server{Addr: address, Handler: files(base), IdleTimeout: idle, ReadHeaderTimeout: 10 * time.Second}
		return s.ListenAndServe()
	case "fasthttp":
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		return fast(base).Serve(l)
	case "fasthttp-prefork":
		s := fast(base)
		p := prefork.New(s)
		p.Reuseport = true
		return p.ListenAndServe(address)
	}
	return errors.New("--server must be net/http, fasthttp or fasthttp-prefork")
}

// files returns net/http's FileServer without its redirect of /index.html to /.
func files(base string) http.Handler {
	plain := http.FileServer(http.Dir(base))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/index.html" {
			r.URL.Path = "/"
		}
		plain.ServeHTTP(w, r)
	})
}

func fast(base string) *fasthttp.Server {
	fs := &fasthttp.FS{Root: base, IndexNames: []string{"index.html"}, AcceptByteRange: true}
	return &fasthttp.Server{
		Handler: fs.NewRequestHandler(), Name: "fasthttp", IdleTimeout: idle, ReadTimeout: idle,
		Concurrency: 1 << 20,
	}
}
