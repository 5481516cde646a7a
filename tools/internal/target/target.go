// Package target knows the servers that are measured: how each is
// configured for static files on this machine, as an expert would do it, and how
// it is started and stopped. The configurations are in peers.go for review.
package target

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Site is what a server is given.
type Site struct {
	Base    string // the website
	Port    int
	Scratch string // a directory for its configuration, not served
	Cores   int
	Root    bool // whether it runs as root and should not

	// Certificate and Key are files in PEM form of a server that speaks TLS and nothing
	// else; empty: it speaks none.
	Certificate, Key string

	// Closing: clients ask for the end of the connection with each request. Servers read
	// that for themselves; a floor, which reads nothing, has to be told.
	Closing bool
}

// secure reports whether the server is to speak TLS.
func (s Site) secure() bool { return s.Certificate != "" }

// Target is a server that can be started.
type Target struct {
	Name    string
	Package string // where its program comes from, for a reader who lacks it
	Program string
	version []string // arguments that make it print its version
	pattern string   // what of the output is the version
	config  string   // text of its configuration file, "" for none
	args    func(s Site, config string) []string
	Stop    syscall.Signal
	admin   bool // it has an admin endpoint, see Server.Admin
	logs    bool // its output is a log: it goes to a file that is not kept
}

// With returns the target with arguments added to its command line.
func (t Target) With(more ...string) Target {
	before := t.args
	t.args = func(s Site, config string) []string { return append(before(s, config), more...) }
	return t
}

// Find looks for the program and asks it for its version. The error names
// the cure.
func (t Target) Find() (version string, err error) {
	program, err := exec.LookPath(t.Program)
	if err != nil {
		return "", fmt.Errorf("%s is not there: %s", t.Name, t.Package)
	}
	if t.version == nil {
		return "", nil
	}
	out, err := exec.Command(program, t.version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s does not tell its version: %w", t.Name, err)
	}
	return Version(string(out), t.pattern), nil
}

// Version is what the pattern's group finds in a program's output.
func Version(output, pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(output)
	if m == nil {
		return "unknown"
	}
	return m[1]
}

// Command writes the configuration and returns what to execute.
func (t Target) Command(s Site) ([]string, error) {
	config := ""
	if t.config != "" {
		config = filepath.Join(s.Scratch, t.Name+".conf")
		if err := os.WriteFile(config, []byte(fill(t.config, s)), 0o644); err != nil {
			return nil, err
		}
	}
	program, err := exec.LookPath(t.Program)
	if err != nil {
		return nil, fmt.Errorf("%s is not there: %s", t.Name, t.Package)
	}
	args := t.args(s, config)
	if t.admin {
		args = append(args, "--admin", socket(s))
	}
	return append([]string{program}, args...), nil
}

// socket is where the admin endpoint is.
func socket(s Site) string { return filepath.Join(s.Scratch, "admin.sock") }

// certificate stands for the file of a server's certificate: a line with it is for a
// server that speaks TLS, as one with {SSL} is for either.
const certificate = "{CERTIFICATE}"

// account stands for the user and the group that a server changes to.
const account = "{ACCOUNT}"

// fill replaces the words in braces of a configuration.
func fill(text string, s Site) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, account) && !s.Root {
			continue // a server that does not start as root keeps its user
		}
		if strings.Contains(line, certificate) && !s.secure() {
			continue
		}
		out.WriteString(line)
	}
	ssl, http2 := "", ""
	if s.secure() {
		ssl, http2 = " ssl", " http2" // for clients that offer it
	}
	return strings.NewReplacer("{SSL}", ssl, "{HTTP2}", http2, certificate, s.Certificate, "{KEY}", s.Key, "{BASE}", s.Base, "{PORT}", fmt.Sprint(s.Port), "{SCRATCH}", s.Scratch,
		"{CORES}", fmt.Sprint(s.Cores), account, "www-data").Replace(out.String())
}
