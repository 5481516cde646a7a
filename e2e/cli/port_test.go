package cli

import (
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-reuseport"

	"phalanx/e2e/harness"
	"phalanx/internal/systest"
)

// TestPortInUse starts a server on a port that another program listens on, with and without
// SO_REUSEPORT: it refuses to start.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	cases := []struct {
		name, network, address string
		control                func(string, string, syscall.RawConn) error
		bind                   []string
	}{
		{"same address", "tcp4", "127.0.0.1:0", nil, []string{"--bind", "127.0.0.1"}},
		{"one of all", "tcp4", "127.0.0.1:0", nil, nil},
		{"IPv6 only", "tcp6", "[::1]:0", nil, nil},
		{"all, and one wanted", "tcp", ":0", nil, []string{"--bind", "127.0.0.1"}},
		{"shared", "tcp4", "127.0.0.1:0", reuseport.Control, []string{"--bind", "127.0.0.1"}},
		{"all shared", "tcp", ":0", reuseport.Control, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.network == "tcp6" && !systest.HasIPv6() {
				t.Skip("this machine has no IPv6")
			}
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
			harness.Attempt(t, harness.Plan{Args: args}).Rejects(t, 1, "--port", port, "in use")
		})
	}
}

// TestSecondServer starts a second server on the port of a first, for each combination of overlapping
// addresses: the second refuses to start, and the first is not affected.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	first := harness.Tree(t, map[string]string{"index.html": "first"})
	second := harness.Tree(t, map[string]string{"index.html": "second"})
	all, one := []string{}, []string{"--bind", "127.0.0.1"}
	cases := []struct {
		name         string
		has, desires []string
	}{{"both all", all, all}, {"both one", one, one}, {"all and one", all, one}, {"one and all", one, all}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := harness.FreePort(t)
			args := []string{"--port", strconv.Itoa(port), "-v", "--log-format", "json", "--base"}
			s := harness.ServeAs(t, harness.Plan{Args: append(append(args, first), c.has...)})
			o := harness.Attempt(t, harness.Plan{Args: append([]string{"--port", strconv.Itoa(port), "--base", second}, c.desires...)})
			o.Rejects(t, 1, "--port", strconv.Itoa(port), "in use")
			for range 20 {
				s.MustServe("/", "first")
			}
		})
	}
}

// TestPortRace starts six servers on one port at the same time: exactly one gets the port.
func TestPortRace(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for range 5 {
		port := harness.FreePort(t)
		args := []string{"--base", base, "--port", strconv.Itoa(port), "-v", "--log-format", "json"}
		var rivals []*harness.Server
		for range 6 {
			s := harness.Launch(t, harness.Plan{Args: args})
			s.Port = port
			rivals = append(rivals, s)
		}
		var winner *harness.Server
		for _, s := range rivals {
			harness.Await(t, 15*time.Second, "a serving line or an exit", func() bool {
				events, _ := s.Log.All()
				return s.Gone() || len(harness.WithMessage(events, "serving")) > 0
			})
			if !s.Gone() {
				if winner != nil {
					t.Fatal("two servers serve on one port")
				}
				winner = s
				continue
			}
			harness.Outcome{Code: s.Wait(time.Second), Err: lastLine(s.Log)}.Rejects(t, 1, "--port", strconv.Itoa(port), "in use")
		}
		if winner == nil {
			t.Fatal("none of six servers got the port")
		}
		winner.MustServe("/", "front")
		winner.Stop(5 * time.Second)
		harness.MustBeFree(t, port)
	}
}

// lastLine returns the last line of a log, which is the error.
func lastLine(j *harness.Journal) string {
	lines := j.Lines()
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1] + "\n"
}

// TestRestartAtOnce restarts a server on its port right after it has served.
func TestRestartAtOnce(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	port := harness.FreePort(t)
	for range 3 {
		s := harness.Serve(t, base, "--port", strconv.Itoa(port))
		s.MustServe("/", "front")
		// The server closes this idle connection, so the TIME_WAIT state is on its side.
		s.MustAsk(s.Dial(), harness.Request("GET", "/"))
		s.Stop(5 * time.Second)
	}
}

// TestFreePorts starts several servers with --port 0: each gets a port of its own.
func TestFreePorts(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	seen := map[int]bool{}
	for range 4 {
		s := harness.Serve(t, base)
		events, _ := s.Log.All()
		url := harness.WithMessage(events, "serving")[0].Text("url")
		if seen[s.Port] || !strings.Contains(url, ":"+strconv.Itoa(s.Port)) {
			t.Errorf("port %d, serving line with url %q; want a new port that the url names", s.Port, url)
		}
		seen[s.Port] = true
		s.MustServe("/", "front")
	}
}
