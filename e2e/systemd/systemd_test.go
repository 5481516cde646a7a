package systemd

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// The releases of Debian, and whether their systemd supports Type=notify-reload (253).
var suites = []struct {
	name   string
	reload bool
}{{"bookworm", false}, {"trixie", true}}

// TestService takes the service through its life: installed, started, reloaded, upgraded, killed,
// hung, stopped, activated by a socket, and removed.
func TestService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the containers with systemd need root")
	}
	first, second := debs(t)
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			m := boot(t, suite.name)
			t.Logf("%s", strings.SplitN(m.must("systemctl", "--version"), "\n", 2)[0])
			m.install(first)
			m.start(suite.reload)
			m.rescues()
			m.reloads()
			m.upgrades(second)
			m.survives()
			m.watched()
			m.logs()
			m.drains()
			m.activated()
			m.removed()
		})
	}
}

// debs builds the package in two versions.
func debs(t *testing.T) (first, second string) {
	t.Helper()
	var all []string
	for _, version := range []string{"9.8.7", "9.8.8"} {
		out := t.TempDir()
		cmd := exec.Command("sh", "../../scripts/packages.sh", version, out)
		cmd.Env = append(os.Environ(), "ARCHS="+runtime.GOARCH, "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
		if printed, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("packages.sh: %v\n%s", err, printed)
		}
		found, err := filepath.Glob(filepath.Join(out, "*.deb"))
		if err != nil || len(found) != 1 {
			t.Fatalf("packages: %q, %v", found, err)
		}
		all = append(all, found[0])
	}
	return all[0], all[1]
}

// install installs a package with dpkg.
func (m *machine) install(deb string) {
	m.t.Helper()
	data := harness.Read(m.t, deb)
	m.write("/var/cache/"+filepath.Base(deb), string(data))
	m.must("dpkg", "-i", "/var/cache/"+filepath.Base(deb))
}

const page = "from a real systemd\n"

// start starts the service, which the installation must not do.
func (m *machine) start(reload bool) {
	m.t.Helper()
	if state, err := m.try("systemctl", "is-active", "phalanx"); err == nil {
		m.t.Errorf("the service is %s after the installation, want inactive", state)
	}
	m.must("getent", "passwd", "phalanx")
	m.write("/srv/www/index.html", page)
	if err := os.Truncate(m.sized("/srv/www/large.bin"), 64<<20); err != nil {
		m.t.Fatal(err)
	}
	m.must("systemctl", "enable", "--now", "phalanx")
	if got := m.must("curl", "-s", "http://127.0.0.1/"); got != strings.TrimSpace(page) {
		m.t.Errorf("the page is %q, want %q", got, page)
	}
	want := map[bool]string{true: "notify-reload", false: "notify"}[reload]
	if got := m.property("Type"); got != want {
		m.t.Errorf("the service is of type %s, want %s", got, want)
	}
	if user := m.must("ps", "-o", "user=", "-p", m.property("MainPID")); user != "phalanx" {
		m.t.Errorf("the master runs as %s, want phalanx", user)
	}
	m.must("phalanx", "status", "--admin", "/run/phalanx/admin.sock")
}

// sized creates an empty file in the machine and returns its path on the host.
func (m *machine) sized(path string) string {
	m.t.Helper()
	m.write(path, "")
	return filepath.Join(m.root, path)
}

// ask fetches the page over a new connection.
func (m *machine) ask(port int) error {
	c, err := m.dial(port)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err == nil && string(body) != page {
		err = fmt.Errorf("%s: %q", r.Status, body)
	}
	return err
}

// workers returns the pids of the workers, one per line.
func (m *machine) workers() string {
	m.t.Helper()
	return m.must("pgrep", "-x", "phalanx-worker")
}

// rescues kills the workers, which have no capabilities, and continues on an open connection.
func (m *machine) rescues() {
	m.t.Helper()
	c, err := m.dial(80)
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	ask := func() string {
		if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
			m.t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			m.t.Fatal(err)
		}
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			m.t.Fatalf("%v\n%s", err, m.must("journalctl", "--no-pager", "-n", "20", "-u", "phalanx"))
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			m.t.Error(err)
		}
		return string(body)
	}
	ask()
	old := m.workers()
	for pid := range strings.FieldsSeq(old) {
		if has := m.must("grep", "CapPrm", "/proc/"+pid+"/status"); !strings.HasSuffix(has, "0000000000000000") {
			m.t.Errorf("a worker has capabilities: %s", has)
		}
		m.must("kill", "-KILL", pid)
	}
	if body := ask(); body != page {
		m.t.Errorf("after its worker was killed, the client got %q, want %q", body, page)
	}
}

// reloads reloads the service under load. A reload with an invalid options file has to fail.
func (m *machine) reloads() {
	m.t.Helper()
	l, master := m.load(), m.property("MainPID")
	for range 3 {
		old := m.workers()
		m.must("systemctl", "reload", "phalanx")
		harness.Await(m.t, 10*time.Second, "new workers", func() bool { return m.workers() != old && m.property("ActiveState") == "active" })
	}
	m.must("sh", "-c", "cp /etc/phalanx.conf /root && echo nonsense = 1 >>/etc/phalanx.conf")
	if out, err := m.try("systemctl", "reload", "phalanx"); err == nil {
		m.t.Errorf("systemctl reload succeeded with an invalid options file: %s", out)
	}
	m.must("sh", "-c", "cp /root/phalanx.conf /etc && systemctl reload phalanx")
	m.endWithoutFailures(l, "reload")
	if now := m.property("MainPID"); now != master || m.property("ActiveState") != "active" {
		m.t.Errorf("after reloads: MainPID changed from %s to %s, the service is %s; want the same master, active", master, now, m.property("ActiveState"))
	}
}

// upgrades installs the next version of the package under load.
func (m *machine) upgrades(deb string) {
	m.t.Helper()
	l, master := m.load(), m.property("MainPID")
	m.install(deb)
	harness.Await(m.t, 20*time.Second, "the next version", func() bool {
		out, err := m.try("curl", "-sI", "http://127.0.0.1/")
		return err == nil && strings.Contains(out, "Server: phalanx/9.8.8\r\n")
	})
	m.endWithoutFailures(l, "upgrade of the package")
	if now := m.property("MainPID"); now != master || m.property("ActiveState") != "active" {
		m.t.Errorf("after the upgrade: MainPID changed from %s to %s, the service is %s; want the same master, active", master, now, m.property("ActiveState"))
	}
}

// survives kills the master under load. systemd keeps its sockets, so no connection is refused.
func (m *machine) survives() {
	m.t.Helper()
	harness.Await(m.t, 10*time.Second, "sockets in systemd's descriptor store", func() bool {
		n, err := strconv.Atoi(m.property("NFileDescriptorStore"))
		return err == nil && n > 0
	})
	l, master := m.load(), m.property("MainPID")
	m.must("systemctl", "kill", "--kill-who=main", "--signal=KILL", "phalanx")
	harness.Await(m.t, 20*time.Second, "a new master", func() bool {
		now := m.property("MainPID")
		return now != master && now != "0" && m.property("ActiveState") == "active"
	})
	if refused, _ := l.end(m.t, "killed master"); refused > 0 {
		m.t.Errorf("%d connections were refused after the master was killed, want none", refused)
	}
	if err := m.ask(80); err != nil {
		m.t.Errorf("after the master was killed: %v", err)
	}
}

// watched stops the master with SIGSTOP, so that systemd's watchdog replaces it.
func (m *machine) watched() {
	m.t.Helper()
	m.write("/etc/systemd/system/phalanx.service.d/watchdog.conf", "[Service]\nWatchdogSec=2s\n")
	m.must("systemctl", "daemon-reload")
	m.must("systemctl", "restart", "phalanx")
	master := m.property("MainPID")
	m.must("kill", "-STOP", master)
	harness.Await(m.t, 30*time.Second, "a new master instead of the hung one", func() bool {
		now := m.property("MainPID")
		return now != master && now != "0" && m.property("ActiveState") == "active"
	})
	m.must("curl", "-s", "http://127.0.0.1/")
}

// logs checks that the group adm, and nobody else, can read the access log.
func (m *machine) logs() {
	m.t.Helper()
	const drop = "/etc/systemd/system/phalanx.service.d/log.conf"
	m.write(drop, harness.Snippet(m.t, "docs/systemd.md", "# "+drop))
	for line := range strings.Lines(harness.Snippet(m.t, "docs/systemd.md", "# after make install, first: sudo useradd --system --no-create-home phalanx")) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "sudo "); ok {
			m.must(strings.Fields(command)...)
		}
	}
	m.must("sed", "-i", "s,^access-log = .*,access-log = /var/log/phalanx-access/access.log,", "/etc/phalanx.conf")
	m.must("systemctl", "daemon-reload")
	m.must("systemctl", "reset-failed", "phalanx") // or the start limit would be reached
	m.must("systemctl", "restart", "phalanx")
	m.must("curl", "-s", "http://127.0.0.1/?logged")
	harness.Await(m.t, 10*time.Second, "an access log line that the group adm can read", func() bool {
		out, err := m.try("setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=adm", "cat", "/var/log/phalanx-access/access.log")
		return err == nil && strings.Contains(out, "GET /?logged ")
	})
	if out, err := m.try("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat", "/var/log/phalanx-access/access.log"); err == nil {
		m.t.Errorf("a user outside the group adm can read the access log: %q", out)
	}
	if groups := m.must("grep", "Groups:", "/proc/"+m.property("MainPID")+"/status"); slices.Contains(strings.Fields(groups), "4") {
		m.t.Errorf("the service runs in the group adm: %q", groups)
	}
}

// drains stops the service during a download, which is completed first.
func (m *machine) drains() {
	m.t.Helper()
	c, err := m.dial(80)
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		m.t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	stopped := make(chan string, 1)
	go func() {
		out, err := m.try("systemctl", "stop", "phalanx")
		stopped <- fmt.Sprint(out, err)
	}()
	harness.Await(m.t, 10*time.Second, "the beginning of the stop", func() bool { return m.property("ActiveState") == "deactivating" })
	select {
	case printed := <-stopped:
		m.t.Fatalf("the service stopped before the download ended: %s", printed)
	default:
	}
	if n, err := io.Copy(io.Discard, r.Body); n != 64<<20 || err != nil {
		m.t.Errorf("the download ended after %d bytes: %v", n, err)
	}
	if printed := <-stopped; printed != "<nil>" {
		m.t.Errorf("systemctl stop: %s", printed)
	}
	if result := m.property("Result"); result != "success" {
		m.t.Errorf("after the stop, the service's result is %s, want success", result)
	}
	if kept := m.property("NFileDescriptorStore"); kept != "0" {
		m.t.Errorf("after the stop, systemd still keeps %s sockets, want none", kept)
	}
}

// activated lets the first client start the service by socket activation.
func (m *machine) activated() {
	m.t.Helper()
	m.write("/etc/systemd/system/phalanx.socket", "[Socket]\nListenStream=127.0.0.1:80\n")
	m.write("/etc/systemd/system/phalanx.service.d/socket.conf", harness.Snippet(m.t, "docs/systemd.md", "# /etc/systemd/system/phalanx.service.d/socket.conf"))
	m.must("systemctl", "daemon-reload")
	m.must("systemctl", "start", "phalanx.socket")
	if state := m.property("ActiveState"); state != "inactive" {
		m.t.Errorf("before any client has connected, the service is %s, want inactive", state)
	}
	if err := m.ask(80); err != nil {
		m.t.Errorf("the first client: %v", err)
	}
	if state := m.property("ActiveState"); state != "active" {
		m.t.Errorf("after the first client, the service is %s, want active", state)
	}
	if has := m.must("grep", "CapBnd", "/proc/"+m.property("MainPID")+"/status"); !strings.HasSuffix(has, "0000000000000000") {
		m.t.Errorf("the master can get capabilities: %s", has)
	}
	m.rescues()
	m.must("systemctl", "stop", "phalanx.socket", "phalanx.service")
	if err := os.Remove(filepath.Join(m.root, "/etc/systemd/system/phalanx.service.d/socket.conf")); err != nil {
		m.t.Error(err)
	}
	m.must("systemctl", "daemon-reload")
}

// removed purges the package while the service runs.
func (m *machine) removed() {
	m.t.Helper()
	m.must("systemctl", "reset-failed", "phalanx") // or the start limit would be reached
	m.must("systemctl", "start", "phalanx")
	master := m.property("MainPID")
	m.must("dpkg", "--purge", "phalanx")
	if _, err := m.try("kill", "-0", master); err == nil {
		m.t.Error("the master still runs after the package was removed")
	}
	for _, path := range []string{"/usr/bin/phalanx", "/usr/lib/phalanx", "/usr/lib/systemd/system/phalanx.service",
		"/usr/lib/systemd/system/phalanx.service.d", "/etc/phalanx.conf", "/etc/logrotate.d/phalanx",
		"/var/log/phalanx", "/var/log/private/phalanx", "/var/lib/phalanx", "/var/lib/private/phalanx"} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(m.root, path), &st); err == nil {
			m.t.Errorf("%s is left after the package was removed", path)
		}
	}
}
