package options

import (
	"fmt"
	"strings"

	"github.com/jessevdk/go-flags"
)

const (
	helpHead = `Usage: %s [flags]

Phalanx serves a static website with a pool of worker processes.
`
	helpTail = `
Every flag can be set in the environment: --log-format is PHALANX_LOG_FORMAT,
PHALANX_VERBOSE is a count, and a flag that may be repeated (--cache, --index,
--header) has a value on each line. A flag beats its variable, and a variable
the file of --config, whose lines are flags without dashes: port = 80

Examples:
  %[1]s --base site --port 8080 -v
        serve the directory "site" on http://localhost:8080/, one line a request
  %[1]s --base /srv/www --bind 127.0.0.1 --workers 4
        serve this machine alone, with four worker processes
  %[1]s --base ~/Downloads --list --port 8000
        share a directory, with a page for each folder
  PHALANX_PORT=0 %[1]s --model goroutine -v
        serve the current directory on a free port, which the log names

Ctrl-C lets every download finish; a second Ctrl-C stops at once.
`
)

// help lays the flags out by group, in the order of the struct.
func help(p *flags.Parser) string {
	var b strings.Builder
	fmt.Fprintf(&b, helpHead, p.Name)
	var groups []string
	rows := map[string][]string{}
	for _, o := range list(p) {
		group := o.Field().Tag.Get("group")
		if group == "" {
			continue
		}
		if rows[group] == nil {
			groups = append(groups, group)
		}
		rows[group] = append(rows[group], row(o))
	}
	for _, group := range groups {
		fmt.Fprintf(&b, "\n%s:\n%s", group, strings.Join(rows[group], ""))
	}
	if p.Name == worker {
		b.WriteString("\nThe master starts it; it serves nothing by itself.\n")
	} else {
		fmt.Fprintf(&b, helpTail, p.Name)
	}
	return b.String()
}

// row is a flag with its description, and beneath that its default and its
// variable.
func row(o *flags.Option) string {
	short := "    "
	if o.ShortName != 0 {
		short = "-" + string(o.ShortName) + ", "
	}
	name := "--" + o.LongName
	if o.ValueName != "" {
		name += " " + o.ValueName
	}
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
	text := fmt.Sprintf("  %s%-24s %s\n", short, name, o.Description)
	if len(notes) > 0 {
		text += strings.Repeat(" ", 31) + "[" + strings.Join(notes, ", ") + "]\n"
	}
	return text
}
