package browser

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestUrgentFirst lets Chromium request a hundred pictures, and then a style sheet, a script and a
// picture with high priority. All requests reach the server at once, so that only the server can
// have decided to send the last ones first.
func TestUrgentFirst(t *testing.T) {
	t.Parallel()
	const pictures = 100
	urgent := []string{"/style.css", "/script.js", "/urgent.svg"}
	picture := pixel + strings.Repeat(" ", 60_000)
	files := map[string]string{
		"index.html": "<!DOCTYPE html><html lang=en><title>priorities</title><link rel=icon href='data:,'><p>Everything else is asked for later.</p>",
		"style.css":  "p { color: red }" + strings.Repeat(" ", 60_000), "script.js": "let a;" + strings.Repeat(" ", 60_000), "urgent.svg": picture,
	}
	for i := range pictures {
		files[fmt.Sprintf("%d.svg", i)] = picture
	}
	s := harness.ServeAs(t, harness.Plan{Args: []string{"--base", harness.Tree(t, files), "--listen", "https://127.0.0.1:0", "--tls-self-signed", "-v"}})
	g := newGate(t, harness.Loopback(s.Port))
	w := open(t, accepting(t, s))
	w.navigate("https://" + g.address + "/")
	w.settle("/")
	g.shut()
	ask := func(script string, n int) {
		evaluate[string](w, `(() => { const ask = (kind, attributes) => document.head.append(Object.assign(document.createElement(kind), attributes));`+script+`; return '' })()`)
		g.await(n)
	}
	ask(fmt.Sprintf(`for (let i = 0; i < %d; i++) ask('img', {fetchPriority: 'low', src: i + '.svg'})`, pictures), pictures)
	ask(`ask('script', {fetchPriority: 'high', src: 'script.js'});
		ask('link', {rel: 'stylesheet', href: 'style.css'});
		ask('img', {fetchPriority: 'high', src: 'urgent.svg'})`, pictures+len(urgent))
	g.open()
	w.settle("/")
	w.noProblems()
	// What the browser reports; adjacent responses may have the same time.
	arrived := evaluate[[]string](w, `performance.getEntriesByType('resource').filter(e => e.nextHopProtocol === 'h2')
		.sort((a, b) => a.responseEnd - b.responseEnd).map(e => new URL(e.name).pathname)`)
	w.close()
	s.Stop(5 * time.Second)
	if completed := overOneConnection(t, s)[1:]; len(completed) != pictures+len(urgent) || !together(urgent, completed[:len(urgent)]) {
		t.Errorf("the server completed %d responses, the first ones %q; want %q first", len(completed), completed[:min(8, len(completed))], urgent)
	}
	if len(arrived) != pictures+len(urgent) || !together(urgent, arrived[:pictures/2]) {
		t.Errorf("the browser received %d responses, the first ones %q; want %q in the first half", len(arrived), arrived[:min(8, len(arrived))], urgent)
	}
}

// together reports whether all paths are among others.
func together(paths, others []string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return !slices.Contains(others, path) })
}

// gate is a proxy between the browser and the server. While it is shut, it holds back what the
// browser sends.
type gate struct {
	t       *testing.T
	address string

	mu     sync.Mutex
	closed bool
	kept   []byte // held back
	frames int    // complete frames in kept that may be requests
	server net.Conn
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, address: l.Addr().String()}
	var joined sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		joined.Wait()
	})
	joined.Go(func() {
		for {
			browser, err := l.Accept()
			if err != nil {
				return
			}
			joined.Go(func() { g.pass(browser, server) })
		}
	})
	return g
}

// pass forwards a connection until either side closes it.
func (g *gate) pass(browser net.Conn, address string) {
	defer browser.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		g.t.Error(err)
		return
	}
	var back sync.WaitGroup
	defer back.Wait()
	defer server.Close()
	back.Go(func() {
		defer browser.Close()
		io.Copy(browser, server)
	})
	for buf := make([]byte, 64<<10); ; {
		n, err := browser.Read(buf)
		if err != nil || g.forward(server, buf[:n]) != nil {
			return
		}
	}
}

func (g *gate) forward(server net.Conn, p []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		_, err := server.Write(p)
		return err
	}
	g.server, g.kept = server, append(g.kept, p...)
	g.frames = requests(g.kept)
	return nil
}

// requests counts the complete TLS records that are longer than one with a PING frame: the browser
// writes each frame into a record of its own.
func requests(p []byte) (n int) {
	const header = 5     // bytes; the last two are the length
	const ping = 17 + 17 // the frame, and the content type and tag of TLS 1.3
	for len(p) >= header {
		length := int(binary.BigEndian.Uint16(p[3:]))
		if len(p) < header+length {
			break
		}
		if length > ping {
			n++
		}
		p = p[header+length:]
	}
	return n
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// await waits until the browser has sent n requests.
func (g *gate) await(n int) {
	g.t.Helper()
	harness.Await(g.t, 20*time.Second, fmt.Sprintf("%d requests from the browser", n), func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.frames >= n
	})
}

// open forwards everything that was held back, at once.
func (g *gate) open() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	if _, err := g.server.Write(g.kept); err != nil {
		g.t.Fatal(err)
	}
}
