package options

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// explain rewords an error of go-flags: the flag comes first, a hint last. Errors of our own
// values already have that form.
func explain(p *flags.Parser, err error) string {
	fe, ok := errors.AsType[*flags.Error](err)
	if !ok {
		return strings.TrimSpace(err.Error()) // of a positional argument
	}
	see := "; see '" + p.Name + " --help'"
	name := quoted(fe.Message)
	switch fe.Type {
	case flags.ErrMarshal: // by UnmarshalFlag: invalid argument for flag `-p, --port' (expected TYPE): TEXT
		head, text, _ := strings.Cut(fe.Message, "): ")
		head, _, _ = strings.Cut(head, "' (expected")
		if text == strconv.ErrSyntax.Error() { // of a value that begins with a quote, which go-flags unquotes
			text = ": the closing quote is missing, or followed by text"
		}
		return quoted(head) + text
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

// isMissing reports whether err is that a required argument is missing.
func isMissing(err error) bool {
	e, ok := errors.AsType[*flags.Error](err)
	return ok && e.Type == flags.ErrRequired
}

// quoted returns the flag between ` and ' in a message of go-flags, the long name if it has
// both.
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

// suggest returns a hint with the flag that was probably meant, "" if none is similar.
func suggest(p *flags.Parser, name string) string {
	var names []string
	for _, o := range list(p) {
		names = append(names, "--"+o.LongName)
	}
	near := synonym(name)
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

// nearest returns the name that is most similar to typed, without its prefix, or "". Similar
// means one edit, two in words longer than four letters, or a prefix of the name.
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

// edits returns the Damerau-Levenshtein distance of a and b in bytes.
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

// synonym returns our flag for a name that other servers use, "" if there is none.
func synonym(name string) string {
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
