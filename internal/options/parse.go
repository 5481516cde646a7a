package options

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"
)

// line is the struct that go-flags fills: the options, and the flags that
// are counted or that end the program.
type line struct {
	Options
	More    []bool `group:"Output" short:"v" long:"verbose" first:"yes" description:"log requests; -vv connections too; -vvv each recv"`
	Version bool   `group:"Output" short:"V" long:"version" first:"yes" description:"print the version"`
	Help    bool   `group:"Output" short:"h" long:"help" first:"yes" description:"print the help"`
}

// verbosity is how often -v was given.
func (l *line) verbosity() int {
	return min(len(slices.DeleteFunc(slices.Clone(l.More), func(on bool) bool { return !on })), MaxVerbose)
}

// start is how a program was started.
type start struct {
	name    string // what it was started as
	args    []string
	getenv  func(string) string
	linked  string
	environ func() []string // every variable, as os.Environ; or nil
	origins origins         // is filled, if not nil
}

// A From says more of how the program was started.
type From func(*start)

// Named gives the name that the program was started as, for its texts and
// hints; without it they say master.
func Named(name string) From { return func(s *start) { s.name = name } }

// Environ gives a list of every variable, such as [os.Environ]; with it a
// PHALANX_ variable that no flag has is an error.
func Environ(list func() []string) From { return func(s *start) { s.environ = list } }

func started(args []string, getenv func(string) string, more []From) start {
	s := start{name: "master", args: args, getenv: withoutLink(getenv), linked: linked(getenv)}
	for _, tell := range more {
		tell(&s)
	}
	return s
}

// ParseMaster reads the master's flags, the PHALANX_ variables for the flags
// that are not given, and the file of --config for those that neither says. The
// error is an [*exitcode.Error], or an [*Info] when the user asked for a text. It
// serves no command, see [ParseCommand].
func ParseMaster(args []string, getenv func(string) string, more ...From) (Options, error) {
	s := started(args, getenv, more)
	if c, err := ParseCommand(s.name, args, getenv, more...); err != nil {
		return Options{}, err
	} else if c != nil {
		return Options{}, usage(c.Name + ": starts no server; it is a command of its own")
	}
	return s.serving(func() (*flags.Parser, *line, error) {
		var l line
		p, err := newParser(s.name, &l)
		return p, &l, err
	})
}

// serving reads what is to be served, and how, with parsers that build makes.
func (s start) serving(build func() (*flags.Parser, *line, error)) (Options, error) {
	var rest []string
	read := func(file string) (*flags.Parser, *line, error) {
		p, l, err := build()
		if err == nil && file != "" {
			var lines map[string][]int
			lines, err = fromFile(p, file)
			s.origins.file(file, lines)
		}
		if err == nil {
			rest, err = parsed(p, s.args, &l.Help, &l.Version)
		}
		return p, l, err
	}
	p, l, err := read("")
	if err == nil {
		err = directory(p, rest)
	}
	if err != nil {
		return Options{}, err
	}
	given := givenBy(p)
	if file := cmp.Or(string(l.Config), s.getenv("PHALANX_CONFIG")); file != "" {
		if p, l, err = read(file); err != nil {
			return Options{}, err
		}
	}
	if len(rest) > 0 {
		given["base"] = true
		if err := assign(p.FindOptionByLongName("base"), rest[0]); err != nil {
			return Options{}, err
		}
	}
	if err := fromEnv(p, given, s.getenv); err != nil {
		return Options{}, err
	}
	s.origins.environment(p, s.getenv)
	s.origins.commandLine(given)
	given = givenBy(p) // with the file's
	if err := cmp.Or(l.oneWay(p, s.getenv), l.sited(given["base"] || len(rest) > 0, s.getenv("PHALANX_BASE") != ""),
		l.dependent(given, CacheDir(s.unitDirectory("CACHE_DIRECTORY")))); err != nil {
		return Options{}, err
	}
	l.Verbose, l.Linked = l.verbosity(), s.linked
	if l.State == "" {
		l.State = StateDir(s.unitDirectory("STATE_DIRECTORY"))
	}
	if l.CacheDir == "" {
		l.CacheDir = CacheDir(s.unitDirectory("CACHE_DIRECTORY"))
	}
	if s.environ != nil {
		if err := strayVariable(p, s.environ()); err != nil {
			return Options{}, err
		}
	}
	return agreed(l.Options)
}

// unitDirectory returns the directory that systemd names in a variable, for StateDirectory= or
// CacheDirectory=: the first if there are several (systemd.exec(5)).
func (s start) unitDirectory(key string) string {
	first, _, _ := strings.Cut(s.getenv(key), ":")
	return first
}

// agreed completes options that were looked at one by one, and refuses those
// that contradict each other.
func agreed(o Options) (Options, error) {
	if len(o.Index) == 0 {
		o.Index = []Name{"index.html"}
	}
	if isNumber(string(o.Worker)) {
		return Options{}, usage("--worker " + string(o.Worker) + ": must be the path of a program; did you mean --workers?")
	}
	if o.Model != Process && o.Workers > 1 {
		return Options{}, usage("--workers " + strconv.Itoa(int(o.Workers)) +
			": the " + string(o.Model) + " model has one worker; leave it out or use --model process")
	}
	if o.Model != Process && o.Engine == Epoll {
		return Options{}, usage("--engine epoll: the " + string(o.Model) +
			" model waits with goroutines; leave it out or use --model process")
	}
	return o, cmp.Or(o.compressing(), o.listening())
}

// newParser makes a parser that fills data, a pointer to a struct.
func newParser(name string, data any) (*flags.Parser, error) {
	p := flags.NewNamedParser(name, flags.PassDoubleDash)
	_, err := p.AddGroup(name, "", data)
	return p, err
}

// parse fills the struct of the parser from the arguments, all of which are flags
// or have a place in it.
func parse(p *flags.Parser, args []string, wantsHelp, wantsVersion *bool) error {
	rest, err := parsed(p, args, wantsHelp, wantsVersion)
	if err == nil && len(rest) > 0 {
		err = leftOver(p, rest[0])
	}
	return err
}

// parsed fills the struct of the parser from the arguments, and returns those that have
// no place in it.
func parsed(p *flags.Parser, args []string, wantsHelp, wantsVersion *bool) ([]string, error) {
	var completion *Info
	p.CompletionHandler = func(candidates []flags.Completion) { completion = answer(candidates) }
	if err := oneDash(p, args); err != nil {
		return nil, err
	}
	rest, err := p.ParseArgs(args)
	switch {
	case completion != nil:
		return nil, completion
	case *wantsHelp && (err == nil || isMissing(err)):
		return nil, &Info{help(p, rest)}
	case err != nil:
		return nil, usage(explain(p, err))
	case *wantsVersion:
		return nil, versionInfo()
	}
	return rest, nil
}

// givenBy returns the flags that the command line had.
func givenBy(p *flags.Parser) map[string]bool {
	given := make(map[string]bool)
	for _, o := range list(p) {
		given[o.LongName] = !o.IsSetDefault()
	}
	return given
}

func list(p *flags.Parser) []*flags.Option {
	var options []*flags.Option
	for _, g := range p.Groups() {
		options = append(options, g.Options()...)
	}
	return options
}
