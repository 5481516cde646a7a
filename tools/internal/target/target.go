// Package target defines the servers that are measured: how each is configured,
// started and stopped. The configurations in peers.go are those of an expert for
// static files on this machine.
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

// Site is what a server needs to know to serve a website.
type Site struct {
	Base    string // the website
	Port    int
	Scratch string // a directory for its configuration, not served
	Cores   int
	Root    bool // the benchmark runs as root, so the server must change its user

	// Certificate and Key are PEM files. With them the server speaks only TLS; if they are
	// empty it speaks only plain HTTP.
	Certificate, Key string

	// Closing is set if each request has Connection: close. Servers see that in the
	// request; a floor does not parse requests and has to be told.
	Closing bool
}

// secure reports whether the server is to speak TLS.
func (s Site) secure() bool { return s.Certificate != "" }

// Target is a server that can be started.
type Target struct {
	Name    string
	Install string // the command that installs the program, for error messages
	Program string
	version []string // arguments that make it print its version
	pattern string   // regular expression with the version as its group
	config  string   // text of its configuration file, "" for none
	args    func(s Site, config string) []string
	Stop    syscall.Signal
	admin   bool // it has an admin endpoint, see Server.Admin
	logs    bool // standard error is a log, which goes to a file in Scratch
}

// With returns the target with arguments added to its command line.
func (t Target) With(more ...string) Target {
	before := t.args
	t.args = func(s Site, config string) []string { return append(before(s, config), more...) }
	return t
}

// Find looks up the program and returns its version. If the program is missing
// the error says how to get it.
func (t Target) Find() (version string, err error) {
	program, err := exec.LookPath(t.Program)
	if err != nil {
		return "", fmt.Errorf("%s not found; run %s", t.Name, t.Install)
	}
	if t.version == nil {
		return "", nil
	}
	out, err := exec.Command(program, t.version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("get the version of %s: %w", t.Name, err)
	}
	return Version(string(out), t.pattern), nil
}

// Version returns what the group of a pattern matches in a program's output, or
// "unknown".
func Version(output, pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(output)
	if m == nil {
		return "unknown"
	}
	return m[1]
}

// Command writes the configuration file and returns the command line.
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
		return nil, fmt.Errorf("%s not found; run %s", t.Name, t.Install)
	}
	args := t.args(s, config)
	if t.admin {
		args = append(args, "--admin", socket(s))
	}
	return append([]string{program}, args...), nil
}

// socket returns the path of the admin endpoint's socket.
func socket(s Site) string { return filepath.Join(s.Scratch, "admin.sock") }

// certificate is the placeholder for the file of the certificate. Lines with it are only
// for servers that speak TLS; those with {SSL} are for all.
const certificate = "{CERTIFICATE}"

// account is the placeholder for the user and the group that a server changes to.
const account = "{ACCOUNT}"

// fill replaces the placeholders of a configuration.
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
