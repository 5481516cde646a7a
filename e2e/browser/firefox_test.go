package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
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

// firefox is a headless Firefox, driven over its Marionette protocol: JSON messages, each preceded
// by its length.
type firefox struct {
	t         *testing.T
	cmd       *exec.Cmd
	conn      net.Conn
	in        *bufio.Reader
	id        int
	downloads string // the download directory
}

// preferences keep Firefox from fetching anything by itself and from asking questions, and make it
// save downloads. A connection that takes long is not tried twice.
const preferences = `
user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("browser.download.dir", %q);
user_pref("browser.download.folderList", 2);
user_pref("browser.download.always_ask_before_handling_new_types", false);
user_pref("browser.helperApps.neverAsk.saveToDisk", "application/octet-stream");
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("media.autoplay.default", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.http.connection-retry-timeout", 0);
user_pref("network.proxy.type", 0);
user_pref("services.settings.server", "http://127.0.0.1:1/");
user_pref("toolkit.telemetry.enabled", false);
`

func openFirefox(t *testing.T) *firefox {
	t.Helper()
	program := harness.Tool(t, "apt-get install firefox-esr", "firefox-esr", "firefox")
	home := t.TempDir()
	f := &firefox{t: t, downloads: filepath.Join(home, "downloads")}
	profile := filepath.Join(home, "profile")
	harness.Write(t, filepath.Join(profile, "user.js"), fmt.Appendf(nil, preferences, f.downloads))
	f.cmd = exec.Command(program, "--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile)
	f.cmd.Env = append(harness.BareEnv(), "HOME="+home, "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_DISABLE_CONTENT_SANDBOX=1")
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.end)
	var port string
	harness.Await(t, 60*time.Second, "the port of Firefox", func() bool {
		text, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		port = strings.TrimSpace(string(text))
		return err == nil && port != ""
	})
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	f.conn, f.in = conn, bufio.NewReader(conn)
	f.receive() // its greeting
	f.call("WebDriver:NewSession", map[string]any{})
	f.call("WebDriver:SetTimeouts", map[string]any{"script": 240_000, "pageLoad": 240_000})
	return f
}

// end kills Firefox with all its processes.
func (f *firefox) end() {
	if f.conn != nil {
		f.conn.Close()
	}
	_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL) // it may have exited
	_ = f.cmd.Wait()
}

// receive returns the next message.
func (f *firefox) receive() json.RawMessage {
	f.t.Helper()
	_ = f.conn.SetReadDeadline(time.Now().Add(5 * time.Minute)) // an error shows in the read
	length, err := f.in.ReadString(':')
	n, bad := strconv.Atoi(strings.TrimSuffix(length, ":"))
	message := make(json.RawMessage, max(n, 0))
	if err == nil && bad == nil {
		_, err = io.ReadFull(f.in, message)
	}
	if err != nil || bad != nil {
		f.t.Fatalf("Firefox: %q, %v, %v", length, err, bad)
	}
	return message
}

// call runs a Marionette command.
func (f *firefox) call(name string, parameters map[string]any) json.RawMessage {
	f.t.Helper()
	f.id++
	command, err := json.Marshal([]any{0, f.id, name, parameters})
	if err == nil {
		_, err = fmt.Fprintf(f.conn, "%d:%s", len(command), command)
	}
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	var reply [4]json.RawMessage // 1, id, error, result
	if err := json.Unmarshal(f.receive(), &reply); err != nil || string(reply[2]) != "null" {
		f.t.Fatalf("%s: %s, %v", name, reply[2], err)
	}
	return reply[3]
}

// navigate opens a page and waits until it is loaded.
func (f *firefox) navigate(url string) {
	f.t.Helper()
	f.call("WebDriver:Navigate", map[string]any{"url": url})
}

// evaluated returns the value of an expression, or of its promise.
func evaluated[T any](f *firefox, expression string) T {
	f.t.Helper()
	const script = `const done = arguments[arguments.length - 1]; Promise.resolve(%s).then(done, e => done(String(e)));`
	reply := f.call("WebDriver:ExecuteAsyncScript", map[string]any{"script": fmt.Sprintf(script, expression), "args": []any{}})
	var value struct{ Value T }
	if err := json.Unmarshal(reply, &value); err != nil {
		f.t.Fatalf("%s: %v in %s", expression, err, reply)
	}
	return value.Value
}

// console returns what pages have written to Firefox's consoles since the last call. Messages
// without a window appear in no page's console: Firefox notes there how it draws an SVG that a
// page uses parts of.
func (f *firefox) console() []string {
	f.t.Helper()
	f.call("Marionette:SetContext", map[string]any{"value": "chrome"})
	defer f.call("Marionette:SetContext", map[string]any{"value": "content"})
	return evaluated[[]string](f, `(() => {
		const said = Cc['@mozilla.org/consoleAPI-storage;1'].getService(Ci.nsIConsoleAPIStorage);
		const all = [
			...Services.console.getMessageArray().filter(m => m instanceof Ci.nsIScriptError && m.innerWindowID && m.sourceName.startsWith('http')).map(m => m.category + ' ' + m.sourceName + ': ' + m.errorMessage),
			...said.getEvents().filter(e => e.filename.startsWith('http')).map(e => e.filename + ': console.' + e.level + ' ' + e.arguments.join(' ')),
		];
		Services.console.reset();
		said.clearEvents();
		return all;
	})()`)
}

// TestSiteInFirefox opens every page of the demo site: each is complete and causes no console
// message. Connections are persistent and parallel.
func TestSiteInFirefox(t *testing.T) {
	t.Parallel()
	site := harness.SiteDir(t)
	s := harness.Serve(t, site, "--keepalive", "5m")
	f := openFirefox(t)
	f.console()
	for _, file := range harness.FilesOf(t, site) {
		if filepath.Ext(file) != ".html" {
			continue
		}
		page := strings.TrimSuffix("/"+file, "index.html")
		f.navigate(s.URL(page))
		for _, broken := range evaluated[[]string](f, settle) {
			t.Errorf("%s: %s", page, broken)
		}
		if text := evaluated[string](f, "document.title + document.body.innerText"); len(text) < 20 {
			t.Errorf("%s shows only %q", page, text)
		}
		for _, line := range f.console() {
			t.Errorf("%s: %s", page, line)
		}
	}
	f.end()
	s.Stop(5 * time.Second)
	checkTraffic(t, s, true)
}

// TestConnectionsOfFirefox loads a page with many pictures over several persistent connections.
func TestConnectionsOfFirefox(t *testing.T) {
	t.Parallel()
	const pictures = 60
	icon := harness.Read(t, filepath.Join(harness.SiteDir(t), "img/icon-512.png"))
	files := map[string]string{}
	page := "<!DOCTYPE html><html lang=en><title>pictures</title><link rel=icon href=data:,>"
	for i := range pictures {
		name := fmt.Sprintf("%d.png", i)
		files[name] = string(icon)
		page += "<img alt='' src=" + name + ">"
	}
	files["index.html"] = page
	s := harness.Serve(t, harness.Tree(t, files))
	f := openFirefox(t)
	f.navigate(s.URL("/"))
	if broken := evaluated[[]string](f, settle); len(broken) > 0 {
		t.Errorf("%q", broken)
	}
	f.end()
	s.Stop(5 * time.Second)
	events, _ := s.Log.All()
	clients := map[string]int{}
	for _, e := range harness.WithMessage(events, "request") {
		clients[e.Text("client")]++
	}
	// Firefox opens up to six connections to a host, and may replace one.
	if len(clients) < 2 || len(clients) > 8 {
		t.Errorf("%d pictures came over %d connections, want 2 to 8: %v", pictures, len(clients), clients)
	}
}

// TestDownloadInFirefox sends SIGINT to the server while Firefox downloads a large file: the
// download is completed, and then the server exits.
func TestDownloadInFirefox(t *testing.T) {
	t.Parallel()
	const size = 1<<31 + 54321 // does not fit into 31 bits
	base := harness.Tree(t, map[string]string{"index.html": "<!DOCTYPE html><html lang=en><title>page</title><link rel=icon href=data:,><a download href=large.bin>large</a>"})
	harness.Sparse(t, filepath.Join(base, "large.bin"), size)
	s := harness.Serve(t, base)
	f := openFirefox(t)
	f.navigate(s.URL("/"))
	evaluated[bool](f, "document.querySelector('a').click() ?? true")
	harness.Await(t, 30*time.Second, "the beginning of the download", func() bool { return f.downloaded() > 1<<20 })
	// Stop Firefox, so that the download is still under way when the server is stopped.
	f.signal(syscall.SIGSTOP)
	if got := f.downloaded(); got >= size {
		t.Fatalf("all %d bytes were downloaded before SIGINT", got)
	}
	s.Interrupt()
	s.AwaitRefusal()
	f.signal(syscall.SIGCONT)
	harness.Await(t, 120*time.Second, "the end of the download", func() bool {
		info, err := os.Stat(filepath.Join(f.downloads, "large.bin"))
		return err == nil && info.Size() == size && f.downloaded() == size
	})
	s.MustExit(20 * time.Second)
}

// downloaded returns the number of bytes in the download directory.
func (f *firefox) downloaded() (n int64) {
	entries, err := os.ReadDir(f.downloads)
	if err != nil {
		return 0 // it does not exist yet
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// signal sends a signal to all of Firefox's processes.
func (f *firefox) signal(sig syscall.Signal) {
	f.t.Helper()
	if err := syscall.Kill(-f.cmd.Process.Pid, sig); err != nil {
		f.t.Fatal(err)
	}
}
