package manual

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// pages returns the README and every page of docs.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(harness.Repository(t, "docs/*.md"))
	if err != nil || len(found) == 0 {
		t.Fatal("no pages in docs", err)
	}
	all := []string{"README.md"}
	for _, path := range found {
		all = append(all, "docs/"+filepath.Base(path))
	}
	return all
}

// TestManual runs the commands of each page as one shell session, with the page's files in the places that
// it names. All commands of a page are in sh blocks, and none is left out.
func TestManual(t *testing.T) {
	t.Parallel()
	harness.Each(t, pages(t), func(t *testing.T, page string) {
		text := harness.Read(t, harness.Repository(t, page))
		if commands := session(t, page, string(text)); commands != "" {
			run(t, commands)
		}
	})
}

var (
	fenced   = regexp.MustCompile("(?ms)^ *```(.*?)\n(.*?)^ *```$")
	indented = regexp.MustCompile(`(?m)^\n(?: {4}|\t).*`) // in Markdown, an indented block begins after an empty line
)

// session returns the script of a page, or "" if it has no commands.
func session(t *testing.T, page, text string) string {
	t.Helper()
	var script strings.Builder
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		switch language, block := m[1], m[2]; language {
		case "sh":
			script.WriteString(block)
		case "ini", "nginx", "haproxy", "dockerfile", "yaml":
			path, rest, _ := strings.Cut(strings.TrimPrefix(block, "# "), "\n")
			if strings.HasPrefix(path, "/") {
				fmt.Fprintf(&script, "cat >%s <<'END'\n%sEND\n", path, rest)
			}
			script.WriteString(arguments(t, block))
		case "text", "go": // output and code are not run
		default:
			t.Errorf("%s: a block in the unknown language %q", page, language)
		}
	}
	prose := fenced.ReplaceAllString(text, "")
	for _, block := range indented.FindAllString(prose, -1) {
		t.Errorf("%s: an indented block, which has no language: %s", page, block)
	}
	script.WriteString(cells(prose))
	return script.String()
}

// arguments checks the command lines that configuration files have as lists.
func arguments(t *testing.T, block string) string {
	t.Helper()
	var b strings.Builder
	for _, list := range regexp.MustCompile(`(?m)\["[^]\n]*"\]$`).FindAllString(block, -1) {
		var words []string
		if err := json.Unmarshal([]byte(list), &words); err != nil {
			t.Fatal(err)
		}
		line := "phalanx --check"
		for _, word := range words {
			if strings.HasPrefix(word, "-") {
				line += " '" + strings.Replace(word, "/site", "/srv/www", 1) + "'"
			}
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// cells checks the flags in the last column of tables that compare them with another server's.
func cells(prose string) string {
	var b strings.Builder
	for _, m := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `(--[^`]*)` \\|$").FindAllStringSubmatch(prose, -1) {
		base := "--base /srv/www "
		if strings.Contains(m[1], "--base") {
			base = ""
		}
		fmt.Fprintf(&b, "phalanx --check %s%s\n", base, m[1])
	}
	return b.String()
}

// run runs commands in namespaces of their own, where they may listen on any port and write to /etc, /run,
// /srv, /var/lib and /var/log.
func run(t *testing.T, commands string) {
	t.Helper()
	setup := harness.Read(t, "testdata/setup.sh")
	for _, tool := range []string{"unshare", "ip", "curl", "openssl", "nginx", "haproxy", "pgrep", "htpasswd"} {
		harness.Tool(t, "run sh scripts/test-tools.sh", tool)
	}
	work := harness.OpenDir(t)
	stubs, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	// What a reader has in a clone of the repository.
	clone := filepath.Join(work, "clone")
	if err := os.MkdirAll(filepath.Join(clone, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"bin/master": filepath.Join(stubs, "phalanx"), "bin/bench": filepath.Join(stubs, "bench"), "site": harness.SiteDir(t),
	} {
		if err := os.Symlink(to, filepath.Join(clone, name)); err != nil {
			t.Fatal(err)
		}
	}
	// When the first process of a PID namespace exits, the kernel kills all others in it.
	flags := []string{"--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Geteuid() != 0 {
		flags = append(flags, "--map-root-user")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", append(flags, "sh", "-c", string(setup)+commands)...)
	cmd.Dir = clone
	cmd.Env = append(harness.BareEnv(), "PATH="+stubs+":"+os.Getenv("PATH"), "REAL="+harness.Binary("master"),
		"REPOSITORY="+harness.Repository(t, "."), "WORK="+work, "HOME="+work)
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out[max(0, len(out)-4000):])
	}
}
