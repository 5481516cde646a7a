package options

import (
	"errors"
	"slices"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// explain turns an error of go-flags into one that names the flag first and
// ends with a cure. Errors of our own values are that already.
func explain(p *flags.Parser, err error) string {
	fe, ok := errors.AsType[*flags.Error](err)
	if !ok || fe.Type == flags.ErrMarshal {
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
		return human.Quoted(dashes+name) + ": unknown flag" + strings.ReplaceAll(suggest(p, name)+see, "?;", "?")
	case flags.ErrRequired:
		_, name, _ = strings.Cut(fe.Message, "`")
		name, _, _ = strings.Cut(name, "`")
		return name + " is missing" + see
	case flags.ErrExpectedArgument:
		return name + ": needs a value" + see
	case flags.ErrNoArgumentForBool:
		return name + ": takes no value" + see
	}
	return fe.Message + see
}

// isMissing reports whether err says that an argument is missing.
func isMissing(err error) bool {
	e, ok := errors.AsType[*flags.Error](err)
	return ok && e.Type == flags.ErrRequired
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
	var names []string
	for _, o := range list(p) {
		names = append(names, "--"+o.LongName)
	}
	near := meant(name)
	if bare := strings.TrimRight(name, "0123456789"); bare != name && takesNumber(p, bare) {
		return "; did you mean --" + bare + " " + name[len(bare):] + "?"
	}
	if !slices.Contains(names, near) { // a command has other flags
		near = nearest(name, names, "--")
	}
	if near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// takesNumber reports whether a long flag with this name takes a number.
func takesNumber(p *flags.Parser, name string) bool {
	o := p.FindOptionByLongName(name)
	return o != nil && o.ValueName == "N"
}

// nearest returns the name that, without its prefix, is nearest to what was
// typed, or "" if none is near: one mistake, two in a longer word, or the rest is
// left out.
func nearest(typed string, names []string, prefix string) string {
	best, distance := "", 2
	if len(typed) > 4 {
		distance = 3
	}
	for _, name := range names {
		bare := strings.TrimPrefix(name, prefix)
		near := edits(typed, bare)
		if len(typed) > 2 && strings.HasPrefix(bare, typed) {
			near = 1
		}
		if near < distance && near < len(typed) {
			best, distance = name, near
		}
	}
	return best
}

// edits counts the bytes to insert, delete, replace or swap with their neighbour
// that make b of a.
func edits(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			next[j+1] = 1 + min(row[j], row[j+1], next[j])
			if a[i] == b[j] {
				next[j+1] = row[j]
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], 1+before[j-1])
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// meant returns the flag that does what other servers have under this name, ""
// if there is none.
func meant(name string) string {
	switch strings.ReplaceAll(name, "_", "-") {
	case "host", "address", "interface", "ip", "i":
		return "--bind"
	case "root", "dir", "directory", "docroot", "document-root", "d", "r":
		return "--base"
	case "threads", "processes", "worker-processes":
		return "--workers"
	case "debug":
		return "--verbose"
	case "autoindex", "browse":
		return "--list"
	}
	return ""
}
