package proxy

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// Addresses of the client, and of the balancer: sender for connections with a PROXY header, forwarder for those
// with X-Forwarded-For in each request.
const (
	client    = "127.0.0.7"
	sender    = "127.0.0.2"
	forwarder = "127.0.0.3"
)

// example returns an example configuration of deploy for one node and port.
func example(t *testing.T, name string, port int, node string) string {
	t.Helper()
	text := harness.Read(t, "../../deploy/"+name)
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "192.0.2.2:") || strings.Contains(line, "192.0.2.3:") {
			continue
		}
		line = strings.NewReplacer("192.0.2.1:8080", node, "bind :80", fmt.Sprintf("bind 127.0.0.1:%d", port), "listen 80;", fmt.Sprintf("listen 127.0.0.1:%d;", port)).Replace(line)
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// start runs a proxy until the end of the test, and waits for its ports.
func start(t *testing.T, config string, ports []int, command ...string) {
	t.Helper()
	dir := harness.MemoryDir(t)
	path := filepath.Join(dir, "config")
	harness.Write(t, path, []byte(config))
	for i := range command {
		command[i] = strings.NewReplacer("CONFIG", path, "DIR", dir).Replace(command[i])
	}
	cmd := exec.Command(command[0], command[1:]...)
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is stopped by a signal
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(harness.InTime(10 * time.Second)):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", command[0], printed.String())
		}
	})
	for _, port := range ports {
		harness.Await(t, 10*time.Second, fmt.Sprintf("%s listening on port %d", command[0], port), func() bool {
			c, err := net.Dial("tcp", harness.Loopback(port))
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

// haproxyConfig adds backends to the example that send PROXY headers of both versions, also over TLS and before
// HTTP/2.
func haproxyConfig(t *testing.T, ports []int, plain, secure string) string {
	t.Helper()
	text := example(t, "haproxy.cfg", ports[0], plain)
	text = strings.Replace(text, "check port 9090 inter 500ms fall 1 rise 1", "source "+forwarder, 1)
	for i, server := range []string{
		plain + " send-proxy", plain + " send-proxy-v2 proxy-v2-options crc32c,unique-id",
		secure + " send-proxy-v2 ssl verify none", plain + " send-proxy-v2 proto h2",
		secure + " send-proxy ssl verify none alpn h2",
	} {
		text += fmt.Sprintf("frontend way%d\n    bind 127.0.0.1:%d\n    default_backend way%d\nbackend way%d\n    server node %s source %s\n", i, ports[i+1], i, i, server, sender)
	}
	return text
}

// browser returns a client with the client's address, which keeps its connections open.
func browser(t *testing.T) *http.Client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	transport := &http.Transport{DialContext: d.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: harness.InTime(20 * time.Second)}
}

// line is a line of the access log.
type line struct {
	Client, Target, Protocol string
	ID                       string `json:"request_id"`
}

// logged waits for the access log line about a path, and returns it.
func logged(t *testing.T, file, path string) (found line) {
	t.Helper()
	harness.Await(t, 10*time.Second, "a log line about "+path, func() bool {
		text := harness.Read(t, file)
		for one := range strings.Lines(string(text)) {
			var l line
			if json.Unmarshal([]byte(one), &l) == nil && l.Target == path {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// get requests a path through a proxy, with fields that forge a client address and a request ID.
func get(t *testing.T, c *http.Client, port int, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	req.Header.Set("X-Request-Id", "evil")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || string(body) != "front" {
		t.Errorf("%s: %s, %q, error %v; want 200 with \"front\"", path, res.Status, body, err)
	}
}

// TestClientBehindProxies makes requests through HAProxy and nginx in every way, also after a worker's death and
// after a reload: the access log has the client's address.
func TestClientBehindProxies(t *testing.T) {
	log := filepath.Join(harness.MemoryDir(t), "access")
	plain, secure := harness.FreePort(t), harness.FreePort(t)
	s := harness.ServeAs(t, harness.Plan{Args: []string{"--base", harness.Tree(t, map[string]string{"index.html": "front"}), "-v",
		"--listen", fmt.Sprintf("http://127.0.0.1:%d", plain), "--listen", fmt.Sprintf("https://127.0.0.1:%d", secure), "--tls-self-signed",
		"--plain", "serve", "--workers", "1", "--access-log", log, "--access-log-format", "json", "--request-id",
		"--proxy-protocol", sender, "--trusted-proxies", forwarder, "--max-connections-per-client", "1000"}})
	s.AwaitText("--max-connections-per-client does not count the clients of --trusted-proxies")
	var ports []int
	for range 7 {
		ports = append(ports, harness.FreePort(t))
	}
	node := func(port int) string { return harness.Loopback(port) }
	start(t, haproxyConfig(t, ports[:6], node(plain), node(secure)), ports[:6], "haproxy", "-db", "-f", "CONFIG")
	nginx := strings.Replace(example(t, "nginx.conf", ports[6], node(plain)), "proxy_pass", "proxy_bind "+forwarder+"; proxy_pass", 1)
	start(t, nginx, ports[6:], "nginx", "-g", "daemon off; pid DIR/pid; error_log stderr;", "-p", "DIR", "-c", "CONFIG")
	c := browser(t)
	ask := func(round string) {
		for i, port := range ports {
			path := fmt.Sprintf("/?%s%d", round, i)
			get(t, c, port, path)
			l := logged(t, log, path)
			if l.Client != client {
				t.Errorf("way %d, %s: logged with client %s, want %s", i, round, l.Client, client)
			}
			if h2 := l.Protocol == "HTTP/2.0"; h2 != (i == 4 || i == 5) {
				t.Errorf("way %d, %s: unexpected version %s", i, round, l.Protocol)
			}
			if i == 0 && !strings.HasPrefix(l.ID, "haproxy-") {
				t.Errorf("request ID %q, want the balancer's", l.ID)
			}
		}
	}
	ask("begin")
	killed := s.Workers()
	harness.Kill(t, killed[0], syscall.SIGKILL)
	s.AwaitWorkers(1, killed...)
	ask("killed")
	s.Replace(syscall.SIGHUP, 1)
	ask("reloaded")
}
