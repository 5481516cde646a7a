package limits

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// With -attacks.table, TestAttacks runs each attack at full size and writes a table of the
// results; otherwise the attacks are small, for make test.
var table = flag.String("attacks.table", "", "file for a table of large attacks")

// attack is an attack from one client address.
type attack struct {
	name string
	run  func(ctx context.Context, t *testing.T, port int, size size)
}

// size is the scale of an attack.
type size struct {
	heads, downloads, connections int
	during                        time.Duration
}

var (
	small = size{heads: 300, downloads: 200, connections: 300, during: 3 * time.Second}
	large = size{heads: 5000, downloads: 3000, connections: 1000, during: 12 * time.Second}
)

func attacks() []attack {
	slow := func(name string, args ...string) attack {
		return attack{name, func(ctx context.Context, t *testing.T, port int, size size) {
			slowhttptest(ctx, t, port, size, args...)
		}}
	}
	return []attack{
		slow("slow headers (slowhttptest -H)", "-H", "-i", "1"),
		slow("slow body (slowhttptest -B)", "-B", "-i", "1", "-t", "GET"),
		slow("slow read (slowhttptest -X)", "-X", "-w", "64", "-y", "128", "-z", "16", "-n", "1", "-k", "3"),
		slow("ranges (slowhttptest -R)", "-R", "-a", "10", "-b", "3000", "-t", "GET"),
		{"incomplete heads", func(ctx context.Context, _ *testing.T, port int, size size) {
			openMany(ctx, port, size.heads, 0, "GET / HTTP/1.1\r\nHost: phalanx.test\r\nX-Half: ")
		}},
		{"unread downloads", func(ctx context.Context, _ *testing.T, port int, size size) {
			openMany(ctx, port, size.downloads, 4096, harness.Request("GET", "/large.bin"))
		}},
		{"flood of requests", func(ctx context.Context, _ *testing.T, port int, size size) {
			openMany(ctx, port, size.connections, 0, strings.Repeat(harness.Request("GET", "/"), 20))
		}},
	}
}

// slowhttptest runs the tool until ctx ends. The results of its own probes do not count: they
// come from the attacker's address.
func slowhttptest(ctx context.Context, t *testing.T, port int, size size, args ...string) {
	tool := harness.Tool(t, "make test installs it", "slowhttptest")
	args = append(args, "-c", strconv.Itoa(size.connections), "-r", strconv.Itoa(size.connections), "-l", "600", "-p", "600",
		"-u", fmt.Sprintf("http://127.0.0.1:%d/large.bin", port))
	cmd := exec.CommandContext(ctx, tool, args...)
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		t.Errorf("slowhttptest: %v", err)
	}
}

// unattacked returns the requests of a well-behaved client while there is no attack.
func unattacked(t *testing.T, port int, size size) visits {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), size.during)
	defer stop()
	return visit(ctx, port)
}

// attacked returns the requests of a well-behaved client during an attack.
func attacked(t *testing.T, a attack, port int, size size) visits {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), size.during)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { a.run(ctx, t, port, size) })
	return visit(ctx, port)
}

// limited are the options of a server with limits on clients.
var limited = []string{"--workers", "2", "--max-connections-per-client", "100", "--min-rate", "10k", "--max-unsent", "256k"}

// A well-behaved client is served while another address attacks.
func TestAttacks(t *testing.T) {
	if *table != "" {
		tabulate(t)
		return
	}
	path := harness.SocketPath(t)
	s := harness.ServeSilently(t, harness.Plan{Args: append([]string{"--base", tree(t), "--admin", path}, limited...)})
	e := harness.EndpointAt(t, path)
	for _, a := range attacks() {
		before := e.Pool().Total.Limited["client"]
		// Range requests end at once and never reach the limit. For the others, a busy machine may need
		// more than one try.
		reached := strings.Contains(a.name, "-R")
		for tries := 0; tries == 0 || !reached && tries < 5; tries++ {
			during := attacked(t, a, s.Port, small)
			if during.failed > 0 || len(during.took) == 0 || during.quantile(1) > harness.InTime(2*time.Second) {
				t.Errorf("%s: of %d requests, %d failed; the longest took %v", a.name, len(during.took), during.failed, during.quantile(1))
			}
			reached = reached || e.Pool().Total.Limited["client"] > before
		}
		if !reached {
			t.Errorf("%s: no connection was closed at the limit per client", a.name)
		}
	}
}

// machine describes the machine and the commit that the figures belong to.
func machine(t *testing.T) string {
	t.Helper()
	info := harness.Read(t, "/proc/cpuinfo")
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	commit, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s, %d cores; commit %s, %s", model, runtime.NumCPU(), strings.TrimSpace(string(commit)), time.Now().UTC().Format(time.DateOnly))
}

// tabulate measures the attacks on a server with its defaults and on one with limits.
func tabulate(t *testing.T) {
	harness.NeedFiles(t, 20_000)
	var b strings.Builder
	b.WriteString("# Attacks\n\nMade by `make attacks`: how long a page takes for a well-behaved client at another address, which opens a new\n" +
		"connection for each request, before and during an attack, all on one machine; in milliseconds.\n" +
		"The attacks: slowhttptest with 1,000 connections, 5,000 incomplete heads, 3,000 unread downloads, 1,000 connections with 20 requests each.\n" +
		"With limits: `" + strings.Join(limited, " ") + "`.\n" +
		"Machine: " + machine(t) + ".\n\n" +
		"| attack | limits | p50 before | p99 before | p50 during | p99 during | longest | failed | closed at limits |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, a := range attacks() {
		for _, with := range []bool{false, true} {
			args, name := []string{"--workers", "2"}, "default"
			if with {
				args, name = limited, "with"
			}
			t.Run(a.name+" "+name, func(t *testing.T) {
				path := harness.SocketPath(t)
				s := harness.ServeSilently(t, harness.Plan{Args: append([]string{"--base", tree(t), "--admin", path, "--drain-timeout", "1s"}, args...)})
				before, during := unattacked(t, s.Port, large), attacked(t, a, s.Port, large)
				ms := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) }
				var closed []string
				for _, reason := range []string{"idle", "head", "client", "rate"} {
					if n := harness.EndpointAt(t, path).Pool().Total.Limited[reason]; n > 0 {
						closed = append(closed, fmt.Sprintf("%s %d", reason, n))
					}
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %d of %d | %s |\n", a.name, name, ms(before.quantile(0.5)), ms(before.quantile(0.99)),
					ms(during.quantile(0.5)), ms(during.quantile(0.99)), ms(during.quantile(1)), during.failed, len(during.took), strings.Join(closed, ", "))
			})
		}
	}
	if err := os.WriteFile(*table, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
