package explain

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/listen"
	"phalanx/internal/proto"
	"phalanx/internal/serve"
	"phalanx/internal/serve/eventloop"
	"phalanx/internal/serve/servetest"
)

// The reply in a report is what a worker sends, byte for byte.
func TestReportsAreWhatAWorkerSends(t *testing.T) {
	dir := plant(t)
	if err := os.WriteFile(dir+"/now.txt", []byte("now"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, k := range append(cases, kase{name: "a file of now", url: "/now.txt"}) {
		if k.name == "several ranges" {
			continue // its boundary, and so its length, is another one each time
		}
		t.Run(k.name, func(t *testing.T) {
			r := asking(t, k.method, k.url, k.fields...)
			if k.old {
				r.Version = "HTTP/1.0"
			}
			head, err := r.wire()
			if err != nil {
				t.Fatal(err)
			}
			cfg, _ := open(t, dir, k.change)
			sent := ask(t, cfg, r.Scheme == "https", bytes.Join(append([][]byte{head}, body(head)...), nil))
			sent = bytes.TrimPrefix(sent, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
			want, _, _ := bytes.Cut(sent, []byte("\r\n\r\n"))
			report := k.report(t, dir, dateOf(t, want))
			if got := bytes.TrimSuffix(report.Head, []byte("\r\n\r\n")); !bytes.Equal(got, want) {
				t.Errorf("the worker sends\n%s\nthe report has\n%s", want, got)
			}
			if rest := len(sent) - len(report.Head); int64(rest) != report.Bytes {
				t.Errorf("the worker sends %d bytes, the report has %d", rest, report.Bytes)
			}
		})
	}
}

// dateOf returns the Date of a reply.
func dateOf(t *testing.T, head []byte) time.Time {
	t.Helper()
	_, rest, _ := bytes.Cut(head, []byte("\r\nDate: "))
	date, _, _ := bytes.Cut(rest, []byte("\r\n"))
	unix, ok := proto.ParseDate(date, 0)
	if !ok {
		t.Fatalf("no date in %q", head)
	}
	return time.Unix(unix, 0)
}

// ask sends a request to a worker of its own, and returns everything that the worker sends.
func ask(t *testing.T, cfg conn.Config, secure bool, request []byte) []byte {
	t.Helper()
	sockets, err := listen.Open(listen.Config{Addresses: []listen.Address{{Host: "127.0.0.1"}}, Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	fd, err := unix.FcntlInt(sockets.Sockets(0)[0].File.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := eventloop.New(serve.Config{Conn: cfg, Recv: 65536, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	var orders serve.Orders
	credentials, client := servetest.Credentials(t, nil)
	orders.Put(credentials)
	done := make(chan error, 1)
	go func() { done <- loop.Run([]serve.Listener{{FD: fd, Secure: secure}}, &orders) }()
	defer func() {
		orders.Put(serve.Drain{})
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(sockets.Addresses()[0].Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	var half interface {
		net.Conn
		CloseWrite() error
	} = c.(*net.TCPConn)
	if secure {
		half = servetest.Handshake(t, c, client)
	}
	if _, err = half.Write(request); err != nil {
		t.Fatal(err)
	}
	if err = half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(half)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}
