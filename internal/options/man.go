package options

import (
	_ "embed" // for the text around the options
	"fmt"
	"strings"

	"github.com/jessevdk/go-flags"
)

//go:embed phalanx.1.in
var manText string

// manual returns the man page in man(7) markup. WriteManPage of go-flags lacks our groups and
// variables, repeats the server's flags for explain, has today's date, and makes mandoc warn.
func manual(program string) string {
	var flags, orders strings.Builder
	for _, g := range grouped(list(newParser(program, &line{}))) {
		fmt.Fprintf(&flags, ".SS %s\n", roff(g.name))
		for _, o := range g.options {
			manOption(&flags, o, true)
		}
	}
	for d := range definitions() {
		manOrder(&orders, program, d.Get("command"))
	}
	trim := func(b strings.Builder) string { return strings.TrimSuffix(b.String(), "\n") }
	return strings.NewReplacer("@NAME@", roff(program), "@TITLE@", roff(strings.ToUpper(program)), "@DATE@", Released, "@VERSION@", Version, "@OPTIONS@", trim(flags), "@COMMANDS@", trim(orders)).Replace(manText)
}

// manOption writes one flag. whole: with its default and variable.
func manOption(b *strings.Builder, o *flags.Option, whole bool) {
	b.WriteString(".TP\n")
	if o.ShortName != 0 {
		fmt.Fprintf(b, "\\fB\\-%c\\fR", o.ShortName)
		if o.LongName != "" {
			b.WriteString(", ")
		}
	}
	if o.LongName != "" {
		fmt.Fprintf(b, "\\fB%s\\fR", roff("--"+o.LongName))
	}
	if o.ValueName != "" {
		fmt.Fprintf(b, " \\fI%s\\fR", roff(o.ValueName))
	}
	fmt.Fprintf(b, "\n%s\n", roff(sentence(o.Description)))
	if detail := o.Field().Tag.Get("detail"); detail != "" {
		fmt.Fprintf(b, "%s\n", roff(detail))
	}
	if notes := notes(o); whole && notes != "" {
		fmt.Fprintf(b, "%s\n", roff("["+notes+"]"))
	}
}

// manOrder writes one command with its own flags.
func manOrder(b *strings.Builder, program, name string) {
	var all commands
	data, _ := all.part(name)
	p := newParser(program+" "+name, data)
	heading := roff(strings.TrimSpace(name + " " + tag(name, "usage")))
	fmt.Fprintf(b, ".SS %s\n", strings.ReplaceAll(heading, "\n", " ")) // the dots of "..." end no sentence
	fmt.Fprintf(b, "%s\n", roff(tag(name, "long-description")))
	for _, a := range p.Args() {
		fmt.Fprintf(b, ".TP\n\\fI%s\\fR\n%s\n", roff(a.Name), roff(sentence(a.Description)))
	}
	for _, o := range list(p) {
		if own(name, o) && o.LongName != "help" {
			manOption(b, o, o.LongName != "admin")
		}
	}
	fmt.Fprintf(b, ".PP\nExample:\n.PP\n.nf\n.RS\n%s %s\n.RE\n.fi\n", roff(program), roff(tag(name, "example")))
}

// sentence makes a description, which has no capital and no full stop, a sentence.
func sentence(s string) string {
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// roff escapes a text for roff(7), including the characters that groff would typeset
// differently (groff_char(7)). Each sentence is on its own line, as man pages require, and
// variables are not hyphenated.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "[$", `\%[$`, "$", `\%$`, ". ", ".\n").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
