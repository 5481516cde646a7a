package options

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"
)

// line is the struct that go-flags fills: the options, and the flags that
// are counted or that end the program.
type line struct {
	Options
	More    []bool `group:"Output" short:"v" long:"verbose" description:"log requests; -vv connections too; -vvv each recv"`
	Version bool   `group:"Output" long:"version" description:"print the version"`
	Help    bool   `group:"Output" short:"h" long:"help" description:"print this text"`
}

// ParseMaster reads the master's flags, the PHALANX_ variables for the flags
// that are not given, and the file of --config for those that neither says. The
// error is a [*UsageError], a [*ConfigError] of the file, or an [*Info] when
// the user asked for a text.
func ParseMaster(args []string, getenv func(string) string) (Options, error) {
	var l line
	p, err := parse("master", args, &l, &l, "")
	if err != nil {
		return Options{}, err
	}
	given := givenBy(p)
	if file := cmp.Or(l.Config, getenv("PHALANX_CONFIG")); file != "" {
		l = line{}
		if p, err = parse("master", args, &l, &l, file); err != nil {
			return Options{}, err
		}
	}
	if err := fromEnv(p, &l, given, getenv); err != nil {
		return Options{}, err
	}
	o := l.Options
	if len(o.Index) == 0 {
		o.Index = []Name{"index.html"}
	}
	if o.Model != Process && o.Workers > 1 {
		return Options{}, &UsageError{"--workers " + strconv.Itoa(int(o.Workers)) +
			": the " + string(o.Model) + " model has one worker; leave it out or use --model process"}
	}
	if o.Model != Process && o.Engine == Epoll {
		return Options{}, &UsageError{"--engine epoll: the " + string(o.Model) +
			" model waits with goroutines; leave it out or use --model process"}
	}
	return o, nil
}

// ParseWorker reads the worker's command line, see [Options.WorkerArgs]. The
// errors are those of [ParseMaster].
func ParseWorker(args []string) (WorkerOptions, error) {
	var l struct {
		line
		Slot Slot `long:"slot" value-name:"N" default:"0" description:"the slot this worker fills"`
		Row  Row  `long:"row" value-name:"N" default:"-1" description:"the row of the scoreboard in which it counts"`
	}
	if _, err := parse("worker", args, &l, &l.line, ""); err != nil {
		return WorkerOptions{}, err
	}
	return WorkerOptions{Options: l.Options, Slot: int(l.Slot), Row: int(l.Row)}, nil
}

// Row is a row of the scoreboard, from 0; -1 is none.
type Row int

// UnmarshalFlag implements [flags.Unmarshaler].
func (r *Row) UnmarshalFlag(v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < -1 {
		return invalid("row", v, "must be -1 or more")
	}
	*r = Row(n)
	return nil
}

// Slot is a worker's place in the pool, 0 to MaxWorkers-1.
type Slot int

// UnmarshalFlag implements [flags.Unmarshaler].
func (s *Slot) UnmarshalFlag(v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n >= MaxWorkers {
		return invalid("slot", v, "must be 0 to 1023")
	}
	*s = Slot(n)
	return nil
}

// parse fills all, of which l is a part or the whole, from a file, if there is
// one, and the arguments, which count for more.
func parse(command string, args []string, all any, l *line, file string) (*flags.Parser, error) {
	p := flags.NewNamedParser(command, flags.PassDoubleDash)
	if _, err := p.AddGroup(command, "", all); err != nil {
		return nil, &UsageError{err.Error()}
	}
	if file != "" {
		if err := fromFile(p, file); err != nil {
			return nil, err
		}
	}
	rest, err := p.ParseArgs(args)
	switch {
	case err != nil:
		return nil, &UsageError{explain(p, err)}
	case l.Help:
		return nil, &Info{help(p)}
	case l.Version:
		return nil, &Info{"phalanx " + Version + "\n"}
	case len(rest) > 0:
		return nil, &UsageError{printable(rest[0]) + ": left-over argument; see '" + command + " --help'"}
	}
	l.Verbose = min(len(l.More), MaxVerbose)
	return p, nil
}

// givenBy returns the flags that the command line had.
func givenBy(p *flags.Parser) map[string]bool {
	given := make(map[string]bool)
	for _, o := range list(p) {
		given[o.LongName] = !o.IsSetDefault()
	}
	return given
}

// fromFile reads flags from a file in which each line is a flag without its
// dashes, "=" and a value; go-flags calls that an INI file.
func fromFile(p *flags.Parser, file string) error {
	err := flags.NewIniParser(p).ParseFile(file)
	if err == nil {
		return nil
	}
	name := "--config " + printable(file)
	if e, ok := errors.AsType[*flags.IniError](err); ok {
		return &ConfigError{Text: fmt.Sprintf("%s, line %d: %s", name, e.LineNumber, e.Message), Err: err}
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &ConfigError{Text: fmt.Sprintf("%s: %v; create it or name another", name, e.Err), Err: err}
	}
	if e, ok := errors.AsType[*flags.Error](err); ok && e.Type == flags.ErrUnknownGroup {
		return &ConfigError{Text: fmt.Sprintf("%s: section [%s]: there are no sections; leave it out", name, quoted(e.Message)), Err: err}
	}
	return &ConfigError{Text: fmt.Sprintf("%s: %v", name, err), Err: err}
}

// fromEnv sets what the command line has not given. go-flags could read the
// environment itself, but only the process's own.
func fromEnv(p *flags.Parser, l *line, given map[string]bool, getenv func(string) string) error {
	for _, o := range list(p) {
		key := envName(o)
		if key == "" || given[o.LongName] {
			continue
		}
		v := getenv(key)
		switch {
		case v == "":
		case o.LongName == "verbose":
			n, err := strconv.ParseUint(v, 10, 8)
			if err != nil || n > MaxVerbose {
				return &UsageError{key + " " + printable(v) + ": must be a count, 0 to 3"}
			}
			l.Verbose = int(n)
		default:
			if err := setLines(o, v); err != nil {
				text := strings.TrimPrefix(err.Error(), "--"+o.LongName)
				return &UsageError{key + text}
			}
		}
	}
	return nil
}

// setLines sets a flag from its variable, which for a flag that may be
// repeated has a value on each line.
func setLines(o *flags.Option, v string) error {
	switch o.Field().Type.Kind() {
	case reflect.Bool:
		if _, err := strconv.ParseBool(v); err != nil {
			return invalid(o.LongName, v, "must be true or false")
		}
	case reflect.Slice:
		for line := range strings.SplitSeq(strings.TrimSpace(v), "\n") {
			if err := o.Set(&line); err != nil {
				return err
			}
		}
		return nil
	}
	return o.Set(&v)
}

// envName returns the variable that stands for a flag, "" if there is none.
func envName(o *flags.Option) string {
	switch o.LongName {
	case "help", "version", "check", "slot", "row":
		return ""
	}
	return "PHALANX_" + strings.ToUpper(strings.ReplaceAll(o.LongName, "-", "_"))
}

func list(p *flags.Parser) []*flags.Option {
	var options []*flags.Option
	for _, g := range p.Groups() {
		options = append(options, g.Options()...)
	}
	return options
}

// explain turns an error of go-flags into one that names the flag first and
// ends with a cure. Errors of our own values are that already.
func explain(p *flags.Parser, err error) string {
	var fe *flags.Error
	if !errors.As(err, &fe) || fe.Type == flags.ErrMarshal {
		return err.Error()
	}
	see := "; see '" + p.Name + " --help'"
	name := quoted(fe.Message)
	switch fe.Type {
	case flags.ErrUnknownFlag:
		dashes := "--"
		if len(name) == 1 {
			dashes = "-"
		}
		return printable(dashes+name) + ": unknown flag" + strings.ReplaceAll(suggest(p, name)+see, "?;", "?")
	case flags.ErrExpectedArgument:
		return name + ": needs a value" + see
	case flags.ErrNoArgumentForBool:
		return name + ": takes no value" + see
	}
	return fe.Message + see
}

// quoted returns the flag that a message of go-flags has between ` and ',
// the long one when it names both.
func quoted(message string) string {
	_, s, _ := strings.Cut(message, "`")
	if i := strings.Index(s, "', but got"); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, " cannot have an argument"), "'")
	if i := strings.LastIndex(s, ", --"); i >= 0 {
		s = s[i+2:]
	}
	return s
}

// suggest names the flag that a mistyped one is nearest to, if it is near.
func suggest(p *flags.Parser, name string) string {
	best, distance := "", 3
	for _, o := range list(p) {
		near := edits(name, o.LongName)
		if len(name) > 2 && strings.HasPrefix(o.LongName, name) {
			near = 1
		}
		if near < distance && near < len(name) {
			best, distance = o.LongName, near
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean --" + best + "?"
}

// edits is the Levenshtein distance of a and b, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
