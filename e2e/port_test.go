package e2e

import (
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPortInUse finds the port taken by a program that shares it with nobody,
// and by one that would share it.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	reuse := func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if err != nil {
			return err
		}
		return failed
	}
	cases := []struct {
		name, network, address string
		control                func(string, string, syscall.RawConn) error
		bind                   []string
	}{
		{"same address", "tcp4", "127.0.0.1:0", nil, []string{"--bind", "127.0.0.1"}},
		{"one of all", "tcp4", "127.0.0.1:0", nil, nil},
		{"IPv6 only", "tcp6", "[::1]:0", nil, nil},
		{"all, and one wanted", "tcp", ":0", nil, []string{"--bind", "127.0.0.1"}},
		{"shared", "tcp4", "127.0.0.1:0", reuse, []string{"--bind", "127.0.0.1"}},
		{"all shared", "tcp", ":0", reuse, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config := net.ListenConfig{Control: c.control}
			l, err := config.Listen(t.Context(), c.network, c.address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"--base", base, "--port", port}, c.bind...)
			attempt(t, plan{args: args}).rejects(t, 1, "--port", port, "in use")
		})
	}
}

// TestSecondServer starts a Phalanx on the port of another, on each
// combination of addresses that overlap.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	first := tree(t, map[string]string{"index.html": "first"})
	second := tree(t, map[string]string{"index.html": "second"})
	all, one := []string{}, []string{"--bind", "127.0.0.1"}
	cases := []struct {
		name         string
		has, desires []string
	}{{"both all", all, all}, {"both one", one, one}, {"all and one", all, one}, {"one and all", one, all}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			args := []string{"--port", itoa(port), "-v", "--log-format", "json", "--base"}
			s := serveAs(t, plan{args: append(append(args, first), c.has...)})
			o := attempt(t, plan{args: append([]string{"--port", itoa(port), "--base", second}, c.desires...)})
			o.rejects(t, 1, "--port", itoa(port), "in use")
			for range 20 {
				s.mustServe("/", "first")
			}
		})
	}
}

// TestPortRace starts six servers on one port in the same moment: exactly
// one gets it.
func TestPortRace(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	for range 5 {
		port := freePort(t)
		args := []string{"--base", base, "--port", itoa(port), "-v", "--log-format", "json"}
		var rivals []*server
		for range 6 {
			s := launch(t, plan{args: args})
			s.port = port
			rivals = append(rivals, s)
		}
		var winner *server
		for _, s := range rivals {
			await(t, 15*time.Second, "the end of a loser or a serving winner", func() bool {
				events, _ := s.log.all()
				return s.gone() || len(withMessage(events, "serving")) > 0
			})
			if !s.gone() {
				if winner != nil {
					t.Fatal("two servers share a port")
				}
				winner = s
				continue
			}
			outcome{code: s.wait(time.Second), err: lastLine(s.log)}.rejects(t, 1, "--port", strconv.Itoa(port), "in use")
		}
		if winner == nil {
			t.Fatal("none of six servers got the port")
		}
		winner.mustServe("/", "front")
		winner.stop(5 * time.Second)
		mustBeFree(t, port)
	}
}

// lastLine is the error behind what the log may say about the start.
func lastLine(j *journal) string {
	lines := j.lines()
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1] + "\n"
}

// TestRestartAtOnce takes the port of a server that has just served.
func TestRestartAtOnce(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	port := freePort(t)
	for range 3 {
		s := serve(t, base, "--port", itoa(port))
		s.mustServe("/", "front")
		// Idle when the server closes it, so the server keeps its TIME_WAIT.
		s.mustAsk(s.dial(), request("GET", "/"))
		s.stop(5 * time.Second)
	}
}

// TestFreePorts starts several servers that take a free port each.
func TestFreePorts(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	seen := map[int]bool{}
	for range 4 {
		s := serve(t, base)
		events, _ := s.log.all()
		url := withMessage(events, "serving")[0].text("url")
		if seen[s.port] || !strings.Contains(url, ":"+itoa(s.port)) {
			t.Errorf("port %d, url %q", s.port, url)
		}
		seen[s.port] = true
		s.mustServe("/", "front")
	}
}
