package options

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// Share has the options of the command share, besides those of serving.
type Share struct {
	Paths      []string      // as given; none: Base
	Password   string        // "user:password", or MakePassword; "": no password
	RandomPath bool          // everything is served under a random path
	For        time.Duration // time limit, MinShare to MaxPatience; 0: none
	PortGiven  bool          // do not try other ports
}

// MakePassword is the Password with which user name and password are generated.
const MakePassword = ":"

// MinShare is the shortest time limit of a share.
const MinShare = time.Second

// Shared is what a worker needs to know about a share.
type Shared struct {
	Paths       []string // absolute, with different names; nil: Base is shared
	Prefix      string   // "/" and a name, in front of every path; "": none
	Credentials string   // "user:password"; "": no password
}

// The variables that pass secrets to a worker: other users can read command lines
// (proc_pid_cmdline(5)), but not environments.
const (
	envPath        = "PHALANX_SHARED_PATH"
	envCredentials = "PHALANX_SHARED_CREDENTIALS"
)

// Environment returns the variables that pass the secrets to a worker.
func (s Shared) Environment() []string {
	if s.Prefix == "" && s.Credentials == "" {
		return nil
	}
	return []string{envPath + "=" + s.Prefix, envCredentials + "=" + s.Credentials}
}

// Secrets sets the fields from the variables of Environment.
func (s *Shared) Secrets(getenv func(string) string) {
	s.Prefix, s.Credentials = getenv(envPath), getenv(envCredentials)
}

type shareCommand struct {
	Password   password `long:"password" optional:"yes" optional-value:":" value-name:"USER:PASS" unquote:"false" description:"require a password; generated if none is given"`
	RandomPath bool     `long:"random-path" description:"serve everything under a random path"`
	For        lifetime `long:"for" value-name:"DURATION" description:"stop after this time, such as 1h"`
	line
	Args struct {
		Paths []File `positional-arg-name:"PATH" description:"file or directory; default: the current directory"`
	} `positional-args:"yes"`
}

type (
	password string
	lifetime time.Duration
)

func (p *password) UnmarshalFlag(v string) error {
	user, secret, ok := strings.Cut(v, ":")
	if v != MakePassword && (!ok || user == "" || secret == "" || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f })) {
		// The error does not repeat the value, which may be a password.
		return errors.New(": must be USER:PASSWORD; without a value both are generated")
	}
	*p = password(v)
	return nil
}

func (l *lifetime) UnmarshalFlag(v string) error {
	return duration(l, v, "must be 1s to 168h, such as 30m or 1h", between(MinShare, MaxPatience))
}

// share parses the command share.
func (s Start) share(c *Command) (*Command, error) {
	e := shareCommand{line: line{Options: Options{List: true}}}
	var from origins
	var err error
	s.Args = joinPassword(s.Args)
	c.Options, from, err = s.serving(c.Name, &e, &e.line)
	if len(e.Site) > 0 || e.StrictHost {
		return nil, usage("--site, --strict-host: share serves the same files at every host; leave them out")
	}
	if err != nil {
		return nil, err
	}
	c.Share = &Share{Password: string(e.Password), RandomPath: e.RandomPath, For: time.Duration(e.For), PortGiven: from["port"].by != byDefault}
	for _, path := range e.Args.Paths {
		c.Share.Paths = append(c.Share.Paths, string(path))
	}
	if by := from["base"].by; len(c.Share.Paths) > 0 && by != byDefault && by != byVariable {
		return nil, usage(human.Quoted(c.Share.Paths[0]) + ": --base names the directory already; leave one of them out")
	}
	if len(c.Options.Auth) > 0 {
		return nil, usage("--auth: protects parts of a website; protect a share with --password")
	}
	o := &c.Options
	o.List, o.Archive, o.NoRules = true, true, true
	if from["index"].by == byDefault {
		o.Index = nil // a directory is shared, not a website
	}
	if from["expires"].by == byDefault {
		o.Expires = 0
	}
	if o.Certified() && len(o.Listen) == 0 {
		o.Listen = []Listen{{Secure: true, Host: string(o.Bind), Port: int(o.Port), Short: true}}
	}
	return c, nil
}

// joinPassword joins --password and the next argument with "=" if that looks like USER:PASS
// and is not an existing path. go-flags accepts an optional value only after "=".
func joinPassword(args []string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(joined, args[i:]...)
		}
		if args[i] == "--password" && i+1 < len(args) && strings.Contains(args[i+1], ":") && args[i+1][0] != '-' {
			if _, err := os.Lstat(args[i+1]); err != nil {
				joined = append(joined, "--password="+args[i+1])
				i++
				continue
			}
		}
		joined = append(joined, args[i])
	}
	return joined
}

// CheckShare returns what a share serves: base, if it is one directory, else shares, absolute
// paths with different names. Errors are of type [*exitcode.Error].
func CheckShare(paths []string, o Options) (base Base, shares []string, err error) {
	if len(paths) == 0 {
		base, err = CheckBase(o.Base)
		return base, nil, err
	}
	taken := make(map[string]string)
	for _, path := range paths {
		full, err := filepath.Abs(path)
		if err != nil {
			return "", nil, badShare(path, "cannot be made absolute; give an absolute path", err)
		}
		info, err := os.Stat(full)
		name := filepath.Base(full)
		switch {
		case err != nil:
			return "", nil, badShare(path, shareCure(err), err)
		case len(paths) == 1 && info.IsDir():
			if base, err = CheckBase(Base(path)); err != nil {
				err = badShare(path, baseCure(errors.Unwrap(err)), err)
			}
			return base, nil, err
		case !info.IsDir() && !info.Mode().IsRegular():
			return "", nil, badShare(path, "neither a file nor a directory; share one of those", nil)
		case name[0] == '.' && !o.Dotfiles:
			return "", nil, badShare(path, "hidden by its name; add --dotfiles", nil)
		case taken[name] != "":
			return "", nil, badShare(path, "has the same name as "+human.Quoted(taken[name])+"; share the directory that holds both, or rename one", nil)
		}
		f, err := os.Open(full)
		if err != nil {
			return "", nil, badShare(path, shareCure(err), err)
		}
		f.Close()
		taken[name] = path
		shares = append(shares, full)
	}
	return o.Base, shares, nil
}

func shareCure(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file or directory; check its spelling"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied; make it readable or run as its owner"
	}
	return err.Error()
}

func badShare(path, cure string, err error) error {
	return exitcode.New(exitcode.Config, "share "+human.Quoted(path)+": "+cure, err)
}
