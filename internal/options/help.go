package options

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

const (
	helpHead = `Usage: %[1]s [flags] [DIR]
       %[1]s COMMAND [flags]

Phalanx serves the files of a directory, by default the current one, with a pool
of worker processes.
`
	helpFirst = `
Examples:
  %[1]s ~/Downloads -l -p 8000        list and serve a directory
  %[1]s site -b 127.0.0.1 -v          this machine only, each request logged

Ctrl-C drains; a second Ctrl-C stops immediately, without finishing downloads.
'%[1]s --help all' lists every flag with its default and its variable;
'%[1]s help TOPIC' explains a command or a flag, such as 'help port'.
`
	helpTail = `
Flags can be set in the environment: --log-format as PHALANX_LOG_FORMAT,
-vv as PHALANX_VERBOSE=2. A flag overrides its variable, and a variable the file
of --config, which has one flag per line, without dashes: port = 80
%[2]s

Examples:
  %[1]s site -v
        serve the directory "site" at http://localhost:8080/, log each request
  %[1]s --base /srv/www --bind 127.0.0.1 --workers 4
        serve /srv/www to this machine only, with four worker processes
  %[1]s ~/Downloads -l -p 8000
        serve a directory, with directory listings
  PHALANX_PORT=0 %[1]s --model goroutine -v
        serve the current directory on a free port, shown in the log

Ctrl-C drains; a second Ctrl-C stops immediately, without finishing downloads.
`
	workerHelp = `Usage: worker [flags]

One worker process of Phalanx, a static web server. The master starts it; do not
run it yourself.
`
)

// help returns the text of --help for the parser's flags, or for the topic after --help.
func help(p *flags.Parser, rest []string) string {
	var b strings.Builder
	switch {
	case p.Name == worker:
		b.WriteString(workerHelp)
		b.WriteString(groups(p))
	case p.LongDescription != "":
		b.WriteString(commandHelp(p))
	default:
		if len(rest) > 0 {
			if text, err := topicHelp(p.Name, rest[0]); err == nil {
				return text
			}
		}
		fmt.Fprintf(&b, helpHead, p.Name)
		b.WriteString(firstFlags(p))
		b.WriteString(commandRows())
		fmt.Fprintf(&b, helpFirst, p.Name)
	}
	return b.String()
}

// wholeHelp returns the help with every flag.
func wholeHelp(p *flags.Parser) string {
	return fmt.Sprintf(helpHead, p.Name) + groups(p) + commandRows() + fmt.Sprintf(helpTail, p.Name, repeated(p))
}

// repeated explains how to repeat flags in variables and in the config file.
func repeated(p *flags.Parser) string {
	var names []string
	for _, o := range list(p) {
		if o.Field().Type.Kind() == reflect.Slice && o.LongName != "verbose" {
			names = append(names, "--"+o.LongName)
		}
	}
	return strings.TrimSuffix(human.Wrap(80, "", "", "Flags that may be repeated take one value per line, in the variable and in the file: "+strings.Join(names, ", ")+"."), "\n")
}

// firstFlags returns the most common flags, one per line.
func firstFlags(p *flags.Parser) string {
	var b strings.Builder
	b.WriteString("\nFlags:\n")
	for _, o := range list(p) {
		if o.Field().Tag.Get("first") == "" {
			continue
		}
		text, _, _ := strings.Cut(row(o), "\n")
		if len(o.Default) > 0 && o.DefaultMask == "" && len(text)+len(o.Default[0]) < 78 {
			text += " [" + o.Default[0] + "]"
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

// topic is the argument of the command help.
type topic string

func (topic) Complete(match string) []flags.Completion {
	names := []string{"all"}
	for t := range definitions() {
		names = append(names, t.Get("command"))
	}
	for field := range reflect.TypeFor[Options]().Fields() {
		names = append(names, field.Tag.Get("long"))
	}
	return fitting(match, slices.DeleteFunc(names, func(name string) bool { return name == "" }))
}

// topicHelp returns the help of a command, of a flag, named without dashes, or of a group of
// flags. "" is the program.
func topicHelp(program, name string) (string, error) {
	var all commands
	p := newParser(program, &line{})
	if data, _ := all.part(name); data != nil {
		text := help(Start{Name: program + " " + name}.parserOf(name, data), nil)
		for _, o := range list(p) { // --compress and --config have the name of a command
			if o.LongName == name && o.Field().Tag.Get("detail") != "" {
				text += "\n" + flagHelp(o)
			}
		}
		return text, nil
	}
	var group strings.Builder
	names := []string{"all"}
	for _, o := range list(p) {
		switch {
		case name != "" && (name == o.LongName || name == string(o.ShortName)):
			return flagHelp(o), nil
		case strings.EqualFold(name, o.Field().Tag.Get("group")):
			group.WriteString(row(o))
		}
		names = append(names, o.LongName)
	}
	switch {
	case name == "":
		return help(p, nil), nil
	case name == "all":
		return wholeHelp(p), nil
	case group.Len() > 0:
		return group.String(), nil
	}
	hint := "; see '" + program + " --help'"
	if near := nearest(name, names, ""); near != "" {
		hint = "; did you mean " + near + "?"
	}
	return "", usage(human.Quoted(name) + ": no such command or flag" + hint)
}

// flagHelp returns the full help of a flag.
func flagHelp(o *flags.Option) string {
	text := row(o)
	if detail := o.Field().Tag.Get("detail"); detail != "" {
		text += "\n" + human.Wrap(80, "", "", detail)
	}
	return text
}

// groups returns the flags by group, in the order of the struct.
func groups(p *flags.Parser) string {
	var b strings.Builder
	for _, g := range grouped(list(p)) {
		fmt.Fprintf(&b, "\n%s:\n", g.name)
		for _, o := range g.options {
			b.WriteString(row(o))
		}
	}
	return b.String()
}

// group is a group of flags in the help and the man page.
type group struct {
	name    string
	options []*flags.Option
}

// grouped returns the groups of options, which are not mixed; an option without one is left out.
func grouped(options []*flags.Option) (all []group) {
	for _, o := range options {
		name := o.Field().Tag.Get("group")
		if name == "" {
			continue
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, group{name: name})
		}
		last := &all[len(all)-1]
		last.options = append(last.options, o)
	}
	return all
}

// commandRows lists the commands.
func commandRows() string {
	var b strings.Builder
	b.WriteString("\nCommands, as the first argument:\n")
	var minor []string
	for t := range definitions() {
		if t.Get("minor") != "" {
			minor = append(minor, t.Get("command"))
			continue
		}
		fmt.Fprintf(&b, "  %-28s %s\n", t.Get("command"), t.Get("description"))
	}
	fmt.Fprintf(&b, "  %-28s print the version, the man page, a completion\n", strings.Join(minor, ", "))
	return b.String()
}

// commandHelp returns the help of one command, with its own flags.
func commandHelp(p *flags.Parser) string {
	i := strings.LastIndexByte(p.Name, ' ')
	program, command := p.Name[:i], p.Name[i+1:]
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n\n%s", strings.TrimSpace(p.Name+" "+p.Usage), human.Wrap(80, "", "", p.LongDescription))
	if args := p.Args(); len(args) > 0 {
		b.WriteString("\nArguments:\n")
		for _, a := range args {
			fmt.Fprintf(&b, "  %-28s %s\n", a.Name, a.Description)
		}
	}
	b.WriteString("\nFlags:\n")
	for _, o := range list(p) {
		if own(command, o) {
			b.WriteString(row(o))
		}
	}
	fmt.Fprintf(&b, "\nExample:\n  %s %s\n", program, tag(command, "example"))
	return b.String()
}

// own reports whether a flag belongs to the command itself. explain, config, share and
// compress also accept the server's flags, which are in the server's help.
func own(command string, o *flags.Option) bool {
	return !slices.Contains([]string{"explain", "config", "share", "compress"}, command) || o.Field().Tag.Get("group") == "" || o.LongName == "help"
}

// row returns a flag with its description, and below them its default and variable.
func row(o *flags.Option) string {
	name := spelled(o)
	if o.ShortName == 0 {
		name = "    " + name
	}
	indent := strings.Repeat(" ", 31)
	if len(name) > 28 {
		name += "\n" + indent[:30]
	}
	text := fmt.Sprintf("  %-28s %s\n", name, o.Description)
	if notes := "[" + notes(o) + "]"; notes != "[]" {
		if len(indent)+len(notes) > 80 {
			notes = strings.Replace(notes, ", $", ",\n"+indent+"$", 1)
		}
		text += indent + notes + "\n"
	}
	return text
}

// spelled returns the names and value of a flag, such as "-p, --port N".
func spelled(o *flags.Option) string {
	var names []string
	if o.ShortName != 0 {
		names = append(names, "-"+string(o.ShortName))
	}
	if o.LongName != "" {
		names = append(names, "--"+o.LongName)
	}
	return strings.TrimSpace(strings.Join(names, ", ") + " " + o.ValueName)
}

// notes returns the default and the variable of a flag.
func notes(o *flags.Option) string {
	var notes []string
	switch {
	case o.DefaultMask != "":
		notes = append(notes, "default: "+o.DefaultMask)
	case len(o.Default) > 0:
		notes = append(notes, "default: "+o.Default[0])
	}
	if key := envName(o); key != "" {
		notes = append(notes, "$"+key)
	}
	return strings.Join(notes, ", ")
}
