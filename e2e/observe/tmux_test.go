package observe

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// pane is a tmux window with a shell. Its content is what a user would see.
type pane struct {
	t    *testing.T
	path string // of the tmux server's socket
	dir  string // for files that the shell writes
	n    int    // files so far
}

// openPane starts a tmux server with one window of the given size in cells.
func openPane(t *testing.T, width, height int, env ...string) *pane {
	t.Helper()
	harness.Tool(t, "apt-get install tmux", "tmux")
	dir := harness.OpenDir(t)
	p := &pane{t: t, path: filepath.Join(dir, "tmux"), dir: dir}
	start := exec.Command("tmux", "-S", p.path, "-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height),
		strings.Join(append([]string{"exec", "env", "-u", "NO_COLOR", "LC_ALL=C.UTF-8", "PS1='$ '"}, append(env, "sh")...), " "))
	start.Env = append(harness.BareEnv(), "LC_ALL=C.UTF-8", "SHELL=/bin/sh")
	if out, err := start.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	pid := harness.Atoi(p.says("#{pid}"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the terminal shows:\n%s", p.shows())
		}
		p.tmux("kill-server")
		harness.AwaitEnd(t, 5*time.Second, pid)
	})
	harness.Await(t, 5*time.Second, "a prompt", func() bool { return strings.HasPrefix(p.shows(), "$") })
	return p
}

// tmux runs a tmux command and returns its output.
func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", p.path}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// says expands a tmux format for the pane.
func (p *pane) says(format string) string {
	p.t.Helper()
	return strings.TrimSpace(p.tmux("display-message", "-p", format))
}

// shows returns the text on the screen.
func (p *pane) shows() string { return p.tmux("capture-pane", "-p") }

// press sends keys by tmux's names.
func (p *pane) press(keys ...string) { p.tmux(append([]string{"send-keys"}, keys...)...) }

// write types a command for the shell.
func (p *pane) write(line string) {
	p.tmux("send-keys", "-l", line)
	p.press("Enter")
}

func (p *pane) resize(width, height int) {
	p.tmux("resize-window", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height))
}

// await waits until the screen satisfies ok, and returns it.
func (p *pane) await(what string, ok func(screen string) bool) string {
	p.t.Helper()
	var screen string
	if !harness.Holds(10*time.Second, func() bool { screen = p.shows(); return ok(screen) }) {
		p.t.Fatalf("the terminal does not show %s:\n%s", what, screen)
	}
	return screen
}

// awaitText waits until the screen contains a text.
func (p *pane) awaitText(text string) string {
	p.t.Helper()
	return p.await(text, func(screen string) bool { return strings.Contains(screen, text) })
}

// clean is the terminal state that a program has to restore.
type clean struct{ modes, flags string }

// state returns the terminal state, from stty in the shell and from tmux.
func (p *pane) state() clean {
	p.t.Helper()
	p.n++
	file := filepath.Join(p.dir, "stty"+strconv.Itoa(p.n))
	p.write("stty -g >" + file + ".new; mv " + file + ".new " + file)
	var modes string
	harness.Await(p.t, 5*time.Second, "the output of stty", func() bool {
		out, err := exec.Command("cat", file).Output()
		modes = string(out)
		return err == nil
	})
	flags := "cursor #{cursor_flag} alternate #{alternate_on} keypad #{keypad_flag} #{keypad_cursor_flag} mouse #{mouse_any_flag} wrap #{wrap_flag} insert #{insert_flag} origin #{origin_flag}"
	return clean{modes, p.says(flags)}
}

// colour matches an escape sequence that sets a colour.
var colour = regexp.MustCompile(`\x1b\[([0-9;]*;)?(3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;:]*m`)
