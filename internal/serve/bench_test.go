package serve_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"phalanx/internal/serve/servetest"
)

// bench runs a benchmark against each engine, and against net/http's file server with the same files.
func bench(b *testing.B, size int, run func(b *testing.B, addr string)) {
	dir := b.TempDir()
	servetest.Noise(b, dir+"/f", size)
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			s := servetest.Start(b, dir, e.run, nil)
			run(b, s.Addr)
			s.Stop()
		})
	}
	b.Run("net-http", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		server := &http.Server{Handler: http.FileServer(http.Dir(dir))}
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Serve(l)
		}()
		run(b, l.Addr().String())
		server.Close()
		<-done
	})
}

// ask sends a request and reads its response, whose body has n bytes.
func ask(b *testing.B, c net.Conn, r *bufio.Reader, request []byte, n int) {
	if _, err := c.Write(request); err != nil {
		b.Fatal(err)
	}
	for line := []byte(nil); string(line) != "\r\n"; {
		var err error
		if line, err = r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
	if got, err := r.Discard(n); err != nil {
		b.Fatalf("%d bytes: %v", got, err)
	}
}

// keepAlive makes one request after another on one connection.
func keepAlive(b *testing.B, size int, fields ...string) {
	request := []byte(servetest.Get("/f", fields...))
	bench(b, size, func(b *testing.B, addr string) {
		c := connect(b, addr)
		defer c.Close()
		r := bufio.NewReader(c)
		body := size
		if len(fields) > 0 {
			body = 100
		}
		b.SetBytes(int64(body))
		b.ReportAllocs()
		for b.Loop() {
			ask(b, c, r, request, body)
		}
	})
}

func connect(b *testing.B, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func BenchmarkKeepAlive(b *testing.B)      { keepAlive(b, 1<<10) }
func BenchmarkKeepAliveLarge(b *testing.B) { keepAlive(b, 1<<20) }
func BenchmarkRange(b *testing.B)          { keepAlive(b, 1<<20, "Range: bytes=500000-500099") }

// BenchmarkClose opens a new connection for each request.
func BenchmarkClose(b *testing.B) {
	const size = 1 << 10
	request := []byte(servetest.Get("/f", "Connection: close"))
	bench(b, size, func(b *testing.B, addr string) {
		b.ReportAllocs()
		for b.Loop() {
			c := connect(b, addr)
			c.Write(request)
			if n, err := io.Copy(io.Discard, c); n < size || err != nil {
				b.Fatalf("%d bytes: %v", n, err)
			}
			c.Close()
		}
	})
}

// BenchmarkPipelined sends sixteen requests at once.
func BenchmarkPipelined(b *testing.B) {
	const size, depth = 1 << 10, 16
	request := []byte(servetest.Get("/f"))
	var all []byte
	for range depth {
		all = append(all, request...)
	}
	bench(b, size, func(b *testing.B, addr string) {
		c := connect(b, addr)
		defer c.Close()
		r := bufio.NewReader(c)
		b.SetBytes(size * depth)
		b.ReportAllocs()
		for b.Loop() {
			ask(b, c, r, all, size)
			for range depth - 1 {
				ask(b, c, r, nil, size)
			}
		}
	})
}
