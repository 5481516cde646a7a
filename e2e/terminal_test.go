package e2e

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

const ctrlC = 0x03

// multiGB does not fit into 32 bits, signed or not.
const multiGB = 1<<32 + 54321

// TestCtrlC types Ctrl-C while a huge download is under way and several
// other clients are in the middle of something.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front", "last.html": "last"})
	sparse(t, base+"/huge.bin", multiGB)
	for _, model := range models() {
		t.Run(model, func(t *testing.T) {
			term := openTerminal(t)
			s := serveSilently(t, plan{tty: term.slave, args: []string{"--base", base, "--model", model}})

			others := func() {}
			if model != "serial" {
				others = s.bystanders()
			}
			slow := s.begin("/huge.bin", 0)
			slowed := make(chan error, 1)
			go func() { slowed <- slow.trickle(16<<10, 1500*time.Millisecond) }()

			term.press(ctrlC)
			s.awaitRefusal()
			others()
			if err := <-slowed; err != nil {
				t.Errorf("the throttled part: %v", err)
			}
			if s.gone() {
				t.Error("the master did not wait for the download")
			}
			s.mustComplete(slow)
			s.mustEnd(slow.client, 2*time.Second, "the completed download")
			if code := s.wait(3 * time.Second); code != 0 {
				t.Errorf("exit status %d, want 0", code)
			}
			shown := term.shown()
			if !waited.MatchString(shown) {
				t.Errorf("the terminal shows %q, want what is waited for", shown)
			}
			if rest := waiting.ReplaceAllString(shown, ""); rest != "" {
				t.Errorf("the terminal also shows %q", rest)
			}
		})
	}
}

// What a terminal shows of a drain that takes longer than a second. It ends each
// line with a carriage return as well.
var (
	waited = regexp.MustCompile(`worker \d: \d+ connections? left, 4\.\d GB to go`)
	// One picture of it: up to the line it began in, and then every line anew.
	waiting = regexp.MustCompile(`(\x1b\[\d+A)?(\r\x1b\[Kworker \d: \d+ connections? left[^\n]*\r\n)+\r\x1b\[KCtrl-C again stops at once\.\r\n\x1b\[J`)
)

// TestCtrlCIdle stops a server that nobody is waiting for, without a word.
func TestCtrlCIdle(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		term := openTerminal(t)
		s := serveSilently(t, plan{tty: term.slave, args: []string{"--base", base, "--model", model}})
		idle := s.dial()
		s.mustAsk(idle, request("GET", "/"))
		term.press(ctrlC)
		if code := s.wait(5 * time.Second); code != 0 {
			t.Errorf("exit status %d, want 0", code)
		}
		if shown := term.shown(); shown != "" {
			t.Errorf("the terminal shows %q, want nothing", shown)
		}
	})
}

// bystanders opens an idle connection and one with half a request, and
// returns what is to be checked on them once the drain has begun.
func (s *server) bystanders() (check func()) {
	s.t.Helper()
	idle := s.dial()
	s.mustAsk(idle, request("GET", "/"))
	half := s.dial()
	s.mustAsk(half, request("GET", "/"))
	last := request("GET", "/last.html")
	if err := half.send(last[:20]); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		r := s.mustAsk(half, last[20:])
		if r.status != 200 || string(r.body) != "last" || !r.closes() {
			s.t.Errorf("a request begun before Ctrl-C: %d %q %v", r.status, r.body, r.header)
		}
		s.mustEnd(half, 2*time.Second, "after the last answer")
		half.Close()
		s.mustEnd(idle, 3*time.Second, "the idle connection")
	}
}

// TestCtrlCTwice does not wait for anybody.
func TestCtrlCTwice(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, base+"/huge.bin", multiGB)
	for _, model := range models() {
		t.Run(model, func(t *testing.T) {
			term := openTerminal(t)
			s := serveSilently(t, plan{tty: term.slave, args: []string{"--base", base, "--model", model}})
			slow := s.begin("/huge.bin", 0)
			term.press(ctrlC)
			s.awaitRefusal()
			if err := slow.take(1 << 20); err != nil {
				t.Errorf("the download did not survive the first Ctrl-C: %v", err)
			}
			term.press(ctrlC)
			if code := s.wait(time.Second); code != 130 {
				t.Errorf("exit status %d, want 130", code)
			}
			if err := slow.rest(); err == nil {
				t.Error("the download was completed, want it cut off")
			}
		})
	}
}

// TestHangUp takes the terminal away: the server is not left behind.
func TestHangUp(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	master, slave, err := pty.Open() // which nobody reads, or closing it would wait
	if err != nil {
		t.Fatal(err)
	}
	s := serveSilently(t, plan{tty: slave, args: []string{"--base", base}})
	s.mustServe("/", "front")
	slave.Close()
	master.Close()
	if code := s.wait(5 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}

// terminal is a pseudo-terminal that does not echo, so that all it shows is
// what programs print.
type terminal struct {
	t             *testing.T
	master, slave *os.File

	mu     sync.Mutex
	screen bytes.Buffer
	hangup chan struct{} // closed when no program has the terminal any more
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	mode, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		mode.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, master: master, slave: slave, hangup: make(chan struct{})}
	go term.read()
	return term
}

// read ends with EIO when the last program has closed the terminal.
func (term *terminal) read() {
	defer close(term.hangup)
	buf := make([]byte, 4096)
	for {
		n, err := term.master.Read(buf)
		term.mu.Lock()
		term.screen.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (term *terminal) press(key byte) {
	term.t.Helper()
	if _, err := term.master.Write([]byte{key}); err != nil {
		term.t.Fatal(err)
	}
}

// shown is all that was printed; the master must be gone.
func (term *terminal) shown() string {
	term.t.Helper()
	term.slave.Close()
	select {
	case <-term.hangup:
	case <-time.After(2 * time.Second):
		term.t.Error("somebody still has the terminal open")
	}
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

// TestTerminalLog shows the console format: one line for the request, for a
// human, and no line of JSON.
func TestTerminalLog(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	term := openTerminal(t)
	port := freePort(t)
	s := launch(t, plan{tty: term.slave, args: []string{"--base", base, "--bind", "127.0.0.1", "--port", itoa(port), "-v"}})
	s.port = port
	s.awaitAnswer()
	s.mustServe("/?unmistakable", "front")
	// Ctrl-C throws away what a terminal has not shown yet (NOFLSH in termios(3)).
	await(t, 5*time.Second, "the request on the terminal", func() bool {
		term.mu.Lock()
		defer term.mu.Unlock()
		return strings.Contains(term.screen.String(), "unmistakable")
	})
	term.press(ctrlC)
	if code := s.wait(5 * time.Second); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	shown := []byte(term.shown())
	if n := bytes.Count(shown, []byte("unmistakable")); n != 1 {
		t.Errorf("the request shows %d times, want once:\n%s", n, shown)
	}
	if bytes.Contains(shown, []byte(`{"`)) {
		t.Errorf("the terminal shows JSON:\n%s", shown)
	}
}
