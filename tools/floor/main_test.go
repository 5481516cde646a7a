package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary run as the floor.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "worker" || os.Getenv("FLOOR") != "") {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// programs returns the floors that can run here; the one in C needs a compiler.
func programs(t *testing.T) map[string]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"go": self}
	if cc, err := exec.LookPath("cc"); err == nil {
		all["c"] = filepath.Join(t.TempDir(), "floor-c")
		if out, err := exec.Command(cc, "-O2", "-Wall", "-Wextra", "-Werror", "-o", all["c"], "c/floor.c").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return all
}

// Each floor responds to a request head that arrives in two parts: to every request in
// mode keep, and in mode close once, before it closes the connection.
func TestFloors(t *testing.T) {
	const page = "<p>a page</p>\n"
	file := filepath.Join(t.TempDir(), "index.html")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, program := range programs(t) {
		for mode, requests := range map[string]int{"keep": 3, "close": 1} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				conn := start(t, program, file, mode)
				defer conn.Close()
				in := bufio.NewReader(conn)
				for range requests {
					for _, part := range []string{"GET / HTTP/1.1\r\nHost: localhost\r\n\r", "\n"} {
						if _, err := io.WriteString(conn, part); err != nil {
							t.Fatal(err)
						}
					}
					reply, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(reply.Body)
					if err != nil || string(body) != page || reply.StatusCode != http.StatusOK || reply.Close != (mode == "close") {
						t.Errorf("%q, %v, %+v", body, err, reply)
					}
				}
				if mode == "close" {
					if _, err := in.ReadByte(); err != io.EOF {
						t.Errorf("after the reply: %v", err)
					}
				}
			})
		}
	}
}

// start launches a floor on a free port and connects to it. It tries another port if a
// connection has taken that one meanwhile.
func start(t *testing.T, program, file, mode string) net.Conn {
	t.Helper()
	for range 10 {
		address := freeAddress(t)
		_, port, _ := net.SplitHostPort(address)
		cmd := exec.Command(program, port, file, "2", mode)
		cmd.Env = append(os.Environ(), "FLOOR=1")
		var output strings.Builder
		cmd.Stderr, cmd.WaitDelay = &output, time.Second
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // it is killed, or stderr says why it exited
		}()
		conn := connect(t, address, ended)
		if conn != nil {
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				<-ended
				if output.Len() > 0 {
					t.Error(output.String())
				}
			})
			return conn
		}
		if !strings.Contains(strings.ToLower(output.String()), "address already in use") {
			t.Fatal(output.String())
		}
	}
	t.Fatal("no free port in ten attempts")
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// connect waits until the floor listens. It returns nil if the floor exits first.
func connect(t *testing.T, address string, ended <-chan struct{}) net.Conn {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			return conn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		select {
		case <-ended:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}
