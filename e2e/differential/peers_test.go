package differential

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// peers returns the servers that Phalanx is compared with, by their names in docs/differences.md.
func peers() []string { return []string{"nginx", "Apache", "Go"} }

// peerTypes returns the media types by extension that every server is configured with.
func peerTypes() map[string]string {
	return map[string]string{
		"html": "text/html", "css": "text/css", "js": "text/javascript", "txt": "text/plain",
		"png": "image/png", "bin": "application/octet-stream", "json": "application/json",
	}
}

// startPeer starts a server for the directory with minimal configuration, and returns its port. It is
// stopped at the end of the test.
func startPeer(t *testing.T, name, root string) int {
	t.Helper()
	const cure = "run scripts/test-tools.sh"
	port := harness.FreePort(t)
	dir := harness.OpenDir(t)
	config := filepath.Join(dir, "config")
	switch name {
	case "nginx":
		harness.Write(t, config, []byte(nginxConfig(dir, root, port, "")))
		startProgram(t, port, harness.Tool(t, cure, "nginx", "/usr/sbin/nginx"), "-p", dir, "-e", "stderr", "-c", config)
	case "Apache":
		harness.Write(t, filepath.Join(dir, "types"), []byte(apacheTypes()))
		harness.Write(t, config, []byte(apacheConfig(dir, root, port)))
		startProgram(t, port, harness.Tool(t, cure, "apache2", "/usr/sbin/apache2", "httpd"), "-d", dir, "-f", config, "-DFOREGROUND")
	default:
		return serveInProcess(t, root)
	}
	return port
}

// startProgram starts another server's program and stops it at the end of the test.
func startProgram(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	printed := harness.NewJournal()
	cmd := exec.Command(name, args...)
	cmd.Env = harness.BareEnv()
	cmd.Stdout, cmd.Stderr = printed, printed
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		// Its exit status does not matter.
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		// It may have exited already.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(harness.InTime(5 * time.Second)):
			t.Errorf("%s did not exit on SIGTERM", name)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-exited
		}
	})
	harness.Await(t, 10*time.Second, "a listening "+name, func() bool {
		select {
		case <-exited:
			t.Fatalf("%s exited: %s", name, printed)
		default:
		}
		return !harness.Refused(port)
	})
}

// nginxConfig returns a configuration; more is added to its only server block.
func nginxConfig(dir, root string, port int, more string) string {
	var b strings.Builder
	if os.Geteuid() == 0 {
		b.WriteString("user root;\n")
	}
	fmt.Fprintf(&b, `daemon off;
worker_processes 1;
pid %s/pid;
error_log stderr emerg;
events { worker_connections 64; }
http {
access_log off;
default_type application/octet-stream;
keepalive_requests 1000000;
gzip_static on;
gzip_vary on;
server { listen 127.0.0.1:%d; root %s;
%s}
`, dir, port, root, more)
	for _, part := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "%s_temp_path %s/%s;\n", part, dir, part)
	}
	b.WriteString("types {\n")
	for extension, kind := range peerTypes() {
		fmt.Fprintf(&b, "%s %s;\n", kind, extension)
	}
	b.WriteString("}\n}\n")
	return b.String()
}

func apacheConfig(dir, root string, port int) string {
	var b strings.Builder
	for _, module := range []string{"mpm_event", "authz_core", "mime", "dir"} {
		fmt.Fprintf(&b, "LoadModule %s_module %s/mod_%s.so\n", module, apacheModules(), module)
	}
	if os.Geteuid() == 0 {
		fmt.Fprintf(&b, "User #%d\nGroup #%d\n", harness.Nobody, harness.Nobody)
	}
	fmt.Fprintf(&b, `Listen 127.0.0.1:%d
ServerName phalanx.test
ServerRoot %q
PidFile pid
DefaultRuntimeDir %q
ErrorLog /dev/stderr
LogLevel emerg
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
ServerLimit 1
MaxKeepAliveRequests 0
KeepAliveTimeout 60
TypesConfig types
DirectoryIndex index.html
DocumentRoot %q
<Directory %q>
Require all granted
</Directory>
`, port, dir, dir, root, root)
	return b.String()
}

// apacheModules returns the directory of Apache's modules, in Debian or other distributions.
func apacheModules() string {
	for _, dir := range []string{"/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules"} {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return "modules"
}

func apacheTypes() string {
	var b strings.Builder
	for extension, kind := range peerTypes() {
		fmt.Fprintf(&b, "%s %s\n", kind, extension)
	}
	return b.String()
}

// serveInProcess starts Go's file server. It generates no entity tags but evaluates those that are set,
// so the handler sets them.
func serveInProcess(t *testing.T, root string) int {
	t.Helper()
	files := http.FileServer(http.Dir(root))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := os.Stat(filepath.Join(root, filepath.FromSlash(r.URL.Path)))
		if err == nil && info.IsDir() && strings.HasSuffix(r.URL.Path, "/") {
			info, err = os.Stat(filepath.Join(root, filepath.FromSlash(r.URL.Path), "index.html"))
		}
		if err == nil && info.Mode().IsRegular() {
			w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		}
		files.ServeHTTP(w, r)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		// Serve returns ErrServerClosed in the cleanup.
		_ = s.Serve(l)
		close(served)
	}()
	t.Cleanup(func() { s.Close(); <-served })
	return l.Addr().(*net.TCPAddr).Port
}
