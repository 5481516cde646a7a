package logging

import (
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A write to a pipe that cannot be reopened never blocks either, and lines of at most
// PIPE_BUF are written completely.
func TestForeignPipe(t *testing.T) {
	want := strings.Repeat(strings.Repeat("x", 99)+"\n", 3000) + strings.Repeat("long", 2000) + "\nend\n"
	for _, kind := range []outletKind{toStream, toShared, toPolled} {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer out.Close()
		o := Outlet{fd: int(out.Fd()), kind: kind, file: out}
		if kind == toStream {
			unix.SetNonblock(o.fd, true)
		}
		got := ""
		for sent := 0; sent < len(want); {
			n, err := o.Write([]byte(want[sent:]))
			if err != nil && err != unix.EAGAIN {
				t.Fatal(err)
			}
			sent += n
			if err == nil {
				break
			}
			if n > 0 && want[sent-1] != '\n' && sent < len(want)-8000 {
				t.Fatalf("kind %d: torn after %d bytes", kind, sent)
			}
			buf := make([]byte, 1<<20)
			n, err = in.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += string(buf[:n])
		}
		out.Close()
		rest, err := io.ReadAll(in)
		if got += string(rest); got != want || err != nil {
			t.Errorf("kind %d: %d bytes, want %d; %v", kind, len(got), len(want), err)
		}
	}
}
