package options

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// line is the struct that go-flags fills: the options, -v, --version and --help.
type line struct {
	Options
	More    []bool `group:"Output" short:"v" long:"verbose" first:"yes" description:"log requests; -vv connections too; -vvv each recv"`
	Version bool   `group:"Output" short:"V" long:"version" first:"yes" description:"print the version"`
	Help    bool   `group:"Output" short:"h" long:"help" first:"yes" description:"print the help"`
}

// verbosity returns how often -v was given, at most MaxVerbose.
func (l *line) verbosity() int {
	return min(len(slices.DeleteFunc(slices.Clone(l.More), func(on bool) bool { return !on })), MaxVerbose)
}

// Start is what the parser knows about the program's start.
type Start struct {
	Name   string // base name of the program, for texts and hints
	Args   []string
	Getenv func(string) string
	// Environ lists all variables, such as [os.Environ]. With it a mistyped PHALANX_ variable is an
	// error; it may be nil.
	Environ func() []string
}

// Options parses the master's flags, PHALANX_ variables and config file; a flag overrides a
// variable, and a variable the file. The error is an [*exitcode.Error], or an [*Info] if the user
// asked for a text. [Start.Command] has to be called before.
func (s Start) Options() (Options, error) {
	var l line
	o, _, err := s.serving("", &l, &l)
	return o, err
}

// serving parses the flags of serving for a command, "" for the server, into data, a pointer to a
// struct that contains l. It also returns where the values come from.
func (s Start) serving(command string, data any, l *line) (Options, origins, error) {
	p := s.parserOf(command, data)
	rest, err := parsed(p, s.Args, &l.Help, &l.Version)
	if err == nil {
		err = directory(p, rest)
	}
	var lines map[string][]setting
	file := cmp.Or(string(l.Config), s.Getenv("PHALANX_CONFIG"))
	if err == nil && file != "" {
		lines, err = s.readFile(command, data, file)
	}
	var from origins
	if err == nil {
		from, err = s.fill(p, file, lines)
	}
	if err == nil && len(rest) > 0 {
		from["base"] = origin{byCommandLine, []string{"command line"}}
		err = assign(p.FindOptionByLongName("base"), rest[0])
	}
	if err == nil {
		err = cmp.Or(l.checkListenAlone(from), l.checkSiteFlags(from["base"].by),
			l.checkDependencies(from["admin-token-file"].by, s.unitDirectory("CACHE_DIRECTORY")))
	}
	if err == nil && s.Environ != nil {
		err = strayVariable(p, s.Environ())
	}
	if err != nil {
		return Options{}, nil, err
	}
	l.Verbose = l.verbosity()
	if v := s.Getenv(envPort); isLink(v) {
		l.Linked = v
	}
	l.State = cmp.Or(l.State, s.unitDirectory("STATE_DIRECTORY"))
	l.CacheDir = cmp.Or(l.CacheDir, s.unitDirectory("CACHE_DIRECTORY"))
	o, err := completed(l.Options)
	return o, from, err
}

// fill sets the flags that are not on the command line: from variables, or else from the lines of
// the config file. go-flags can read variables too, but only those of the process.
func (s Start) fill(p *flags.Parser, file string, lines map[string][]setting) (origins, error) {
	from := make(origins)
	for _, o := range list(p) {
		key := envName(o)
		v := s.Getenv(key)
		switch {
		case !o.IsSetDefault():
			from[o.LongName] = origin{byCommandLine, []string{"command line"}}
		case key != "" && v != "" && !(key == envPort && isLink(v)):
			if err := assign(o, strings.Split(strings.TrimSpace(v), "\n")...); err != nil {
				return nil, usage(key + err.Error())
			}
			from[o.LongName] = origin{byVariable, []string{"$" + key}}
		case len(lines[o.LongName]) > 0:
			at := origin{by: byFile}
			for _, line := range lines[o.LongName] {
				_ = assign(o, line.value) // it has been checked
				at.texts = append(at.texts, human.Visible(file)+":"+strconv.Itoa(line.number))
			}
			from[o.LongName] = at
		}
	}
	return from, nil
}

// unitDirectory returns the directory that systemd passes in a variable for StateDirectory= or
// CacheDirectory=, the first of several (systemd.exec(5)).
func (s Start) unitDirectory(key string) Dir {
	first, _, _ := strings.Cut(s.Getenv(key), ":")
	return Dir(first)
}

// completed completes the options and refuses combinations that contradict each other.
func completed(o Options) (Options, error) {
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
			" model has no event loop; leave it out or use --model process")
	}
	return o, cmp.Or(o.checkCaching(), o.checkAuth(), o.checkCertificates(), o.checkListen(), o.checkAdmin())
}

// newParser returns a parser that fills data, a pointer to a struct.
func newParser(name string, data any) *flags.Parser {
	p := flags.NewNamedParser(name, flags.PassDoubleDash)
	if _, err := p.AddGroup(name, "", data); err != nil {
		panic(err) // a tag is wrong
	}
	return p
}

// parse fills the parser's struct from the arguments. Arguments that are left over are an
// error.
func parse(p *flags.Parser, args []string, wantsHelp, wantsVersion *bool) error {
	rest, err := parsed(p, args, wantsHelp, wantsVersion)
	if err == nil && len(rest) > 0 {
		err = unexpected(p, rest[0])
	}
	return err
}

// parsed fills the parser's struct from the arguments and returns those that are left over.
func parsed(p *flags.Parser, args []string, wantsHelp, wantsVersion *bool) ([]string, error) {
	var completion *Info
	p.CompletionHandler = func(candidates []flags.Completion) { completion = answer(candidates) }
	if err := checkDashes(p, args); err != nil {
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

func list(p *flags.Parser) []*flags.Option {
	var options []*flags.Option
	for _, g := range p.Groups() {
		options = append(options, g.Options()...)
	}
	return options
}
