package set

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// lab is a network of nodes, a balancer and clients on one bridge. Each has a network namespace of its own; the
// clients use the test's.
type lab struct {
	t     *testing.T
	base  string
	nodes []*node
}

// node is a server in a network namespace.
type node struct {
	lab    *lab
	name   string // also the name of its namespace
	addr   string
	server *harness.Server
}

// Addresses in the lab. Those of the nodes begin with 10.77.0.1.
const (
	balancerAddr = "10.77.0.100"
	clientAddr   = "10.77.0.254"
	nodePort     = "8080"
	adminPort    = "9090"
)

// newLab creates the network and starts the nodes, which serve the files.
func newLab(t *testing.T, nodes int, files map[string]string) *lab {
	t.Helper()
	l := &lab{t: t, base: harness.Tree(t, files)}
	l.must("mount", "-t", "tmpfs", "tmpfs", "/run")
	l.must("ip", "link", "set", "lo", "up")
	l.must("ip", "link", "add", "bridge", "type", "bridge")
	l.must("ip", "addr", "add", clientAddr+"/24", "dev", "bridge")
	l.must("ip", "link", "set", "bridge", "up")
	l.namespace("balancer", balancerAddr)
	for i := range nodes {
		n := &node{lab: l, name: fmt.Sprintf("node%d", i+1), addr: fmt.Sprintf("10.77.0.%d", i+1)}
		l.namespace(n.name, n.addr)
		l.nodes = append(l.nodes, n)
		n.start()
	}
	t.Cleanup(func() {
		l.must("ip", "link", "del", "bridge")
		for _, name := range strings.Fields(l.must("ip", "-o", "netns", "list")) {
			if strings.HasPrefix(name, "node") || name == "balancer" {
				l.must("ip", "link", "del", name) // the kernel takes its time to do so with the namespace
				l.must("ip", "netns", "del", name)
			}
		}
		l.must("umount", "-l", "/run")
	})
	return l
}

// must runs a command that has to succeed and returns its output.
func (l *lab) must(words ...string) string {
	l.t.Helper()
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%q: %v\n%s", words, err, out)
	}
	return string(out)
}

// namespace creates a network namespace with an address on the bridge.
func (l *lab) namespace(name, addr string) {
	l.t.Helper()
	l.must("ip", "netns", "add", name)
	l.must("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
	l.must("ip", "link", "set", name, "master", "bridge", "up")
	for _, words := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", addr + "/24", "dev", "eth0"}, {"link", "set", "eth0", "up"}} {
		l.must(append([]string{"ip", "-n", name}, words...)...)
	}
}

// start starts the node and waits until it is ready.
func (n *node) start() {
	n.lab.t.Helper()
	n.server = harness.Launch(n.lab.t, harness.Plan{Before: []string{"ip", "netns", "exec", n.name}, Args: []string{
		"--base", n.lab.base, "--port", nodePort, "--workers", "2", "--admin", n.addr + ":" + adminPort,
		"--lame-duck", "1s", "--request-id", "--header", "X-Node: " + n.name,
	}})
	n.await("is ready", 200)
}

// await waits until the node's /readyz has a status.
func (n *node) await(what string, code int) {
	n.lab.t.Helper()
	harness.Await(n.lab.t, 10*time.Second, n.name+" "+what, func() bool {
		r, err := probe.Get("http://" + n.addr + ":" + adminPort + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == code
	})
}

// restart stops the node gracefully and starts it again.
func (n *node) restart() {
	n.lab.t.Helper()
	n.server.Signal(syscall.SIGTERM)
	if code := n.server.Wait(3 * time.Minute); code != 0 { // clients read slowly
		n.lab.t.Errorf("%s: exit status %d after SIGTERM", n.name, code)
	}
	n.start()
}

// kill kills all processes of the node at once, as if its machine had failed.
func (n *node) kill() {
	n.lab.t.Helper()
	n.server.Signal(syscall.SIGKILL)
	for _, pid := range strings.Fields(n.lab.must("ip", "netns", "pids", n.name)) {
		if pid, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have exited
		}
	}
}

// balancer is a running HAProxy or nginx.
type balancer struct {
	l   *lab
	log string // path of its log
}

// balance starts a balancer with an example configuration of deploy, after replacing addresses. It is stopped at
// the end of the test.
func (l *lab) balance(program, file string, replace ...string) *balancer {
	l.t.Helper()
	text := harness.Read(l.t, harness.Repository(l.t, "deploy", file))
	dir := harness.OpenDir(l.t)
	b := &balancer{l: l, log: filepath.Join(dir, "log")}
	config := filepath.Join(dir, file)
	harness.Write(l.t, config, []byte(strings.NewReplacer(replace...).Replace(string(text))))
	out, err := os.Create(b.log)
	if err != nil {
		l.t.Fatal(err)
	}
	defer out.Close()
	args := map[string][]string{"haproxy": {"-db", "-f", config}, "nginx": {"-g", "daemon off; pid " + dir + "/pid; error_log stderr;", "-p", dir, "-c", config}}[program]
	cmd := exec.Command("ip", append([]string{"netns", "exec", "balancer", harness.Tool(l.t, "apt-get install "+program, program)}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was stopped by a signal
	})
	harness.Await(l.t, 10*time.Second, "a response through "+program, func() bool {
		r, err := probe.Get("http://" + balancerAddr + "/")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
	return b
}

// lines returns the lines of the balancer's log.
func (b *balancer) lines() []string {
	b.l.t.Helper()
	text, err := os.ReadFile(b.log)
	if err != nil {
		b.l.t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
