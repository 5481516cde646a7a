// Package acmetest starts a certificate authority for tests: Pebble, which by default refuses
// one nonce in twenty.
package acmetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/certificate"
)

// Options configure an [Authority].
type Options struct {
	HTTP, TLS int           // the ports to which challenges connect
	Lifetime  time.Duration // of certificates; zero: 90 days
	Short     time.Duration // of those with the profile "short"; zero: 6 days
	Blocked   string        // a host that is refused
	Binding   string        // "ID:KEY" of the required external account binding; "": not required
}

// Authority is a running Pebble. It resolves every host to this machine, except those in
// unknown.test, which do not exist.
type Authority struct {
	Directory string // its URL
	RootFile  string // PEM: its own certificate, for clients to trust
	KeyFile   string // the certificate's key

	t       testing.TB
	args    []string
	stdin   io.Closer
	process *exec.Cmd
}

// Start starts an authority, which is stopped at the end of the test.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	dir := t.TempDir()
	own, err := certificate.SelfSigned([]string{"127.0.0.1", "localhost"}, time.Now(), 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{t: t, RootFile: filepath.Join(dir, "root.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	if err := errors.Join(os.WriteFile(a.RootFile, own.Chain, 0o644), os.WriteFile(a.KeyFile, own.Key, 0o600)); err != nil {
		t.Fatal(err)
	}
	a.args = []string{"-cert", a.RootFile, "-key", a.KeyFile, "-http", strconv.Itoa(o.HTTP), "-tls", strconv.Itoa(o.TLS)}
	for flag, value := range map[string]string{"-blocked": o.Blocked, "-binding": o.Binding} {
		if value != "" {
			a.args = append(a.args, flag, value)
		}
	}
	for flag, value := range map[string]time.Duration{"-lifetime": o.Lifetime, "-short": o.Short} {
		if value != 0 {
			a.args = append(a.args, flag, strconv.Itoa(int(value/time.Second)))
		}
	}
	t.Cleanup(a.end)
	a.start("127.0.0.1:0")
	return a
}

// Stop stops the authority and discards its state. Connections to its address are refused until
// Restart.
func (a *Authority) Stop() {
	a.t.Helper()
	a.end()
	a.reserve()
}

func (a *Authority) end() {
	if a.process == nil {
		return
	}
	a.stdin.Close()
	_ = a.process.Wait() // its errors are in the test's log
	a.process = nil
}

// Restart starts the authority again at the same address, without accounts.
func (a *Authority) Restart() {
	a.t.Helper()
	a.start(a.address().String())
}

// reserve keeps other servers from the authority's address until the end of the test: a socket is
// bound to it, but does not listen. With SO_REUSEADDR the authority can be bound to it again.
func (a *Authority) reserve() {
	a.t.Helper()
	at := a.address()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), syscall.Bind(fd, &syscall.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())})); err != nil {
		a.t.Fatalf("reserve %v: %v", at, err)
	}
}

// address returns the authority's address.
func (a *Authority) address() netip.AddrPort {
	a.t.Helper()
	u, err := url.Parse(a.Directory)
	if err != nil {
		a.t.Fatal(err)
	}
	at, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		a.t.Fatal(err)
	}
	return at
}

// start runs Pebble with "go run", which builds it if need be.
func (a *Authority) start(address string) {
	a.t.Helper()
	root, err := root()
	if err != nil {
		a.t.Fatal(err)
	}
	args := append([]string{"-C", filepath.Join(root, "tools", "pebble"), "run", ".", "-address", address}, a.args...)
	a.process = exec.Command("go", args...)
	a.process.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	a.process.Stderr = a.t.Output()
	stdin, err := a.process.StdinPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	stdout, err := a.process.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.process.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.stdin = stdin
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var ready struct{ Directory string }
	if err = errors.Join(err, json.Unmarshal(line, &ready)); err != nil {
		a.t.Fatalf("start pebble: %v", err)
	}
	a.Directory = ready.Directory
}

// FreePort returns a port that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// root returns the module's directory.
func root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return string(bytes.TrimSpace(out)), err
}
