package options

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// fromFile sets flags from a config file. Each line is a flag without its dashes, "=" and a
// value, which may be in double quotes. A line that begins with # or ; is a comment, and so is
// the rest of a line after " #". A byte order mark and CRLF are accepted. It returns the line
// numbers of each flag. The error has one line for each error in the file.
func fromFile(p *flags.Parser, file string) (lines map[string][]int, err error) {
	name := "--config " + human.Quoted(file)
	text, err := os.ReadFile(file)
	switch path, ok := errors.AsType[*fs.PathError](err); {
	case ok:
		return nil, exitcode.New(exitcode.Config, fmt.Sprintf("%s: %v; create it or name another", name, path.Err), err)
	case err != nil:
		return nil, exitcode.New(exitcode.Config, fmt.Sprintf("%s: %v", name, err), err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, exitcode.New(exitcode.Config, name+": is not in UTF-8; save it as UTF-8", nil)
	}
	number := 0
	lines = make(map[string][]int)
	var wrong []error
	for line := range strings.Lines(string(text)) {
		number++
		flag, err := fromLine(p, strings.TrimSpace(line))
		lines[flag] = append(lines[flag], number)
		if err != nil && len(wrong) == maxErrors {
			wrong = append(wrong, errors.New(name+": there are more errors"))
			break
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", human.Quoted(file), number, err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, exitcode.New(exitcode.Config, err.Error(), err)
	}
	return lines, nil
}

// maxErrors is the largest number of errors in a file that are reported at once.
const maxErrors = 10

// fromLine sets the flag of a line and returns its name, "" if the line has none.
func fromLine(p *flags.Parser, line string) (flag string, err error) {
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", nil
	}
	if line[0] == '[' {
		return "", errors.New(line + ": sections are not supported; remove the line")
	}
	flag, v, ok := strings.Cut(line, "=")
	flag = strings.TrimPrefix(strings.TrimSpace(flag), "--")
	all := list(p)
	i, lacks, value, alone := index(all, flag), "a value", "VALUE", true
	if name, rest := word(line); i < 0 && index(all, name) >= 0 {
		flag, i, ok = name, index(all, name), false
		lacks, value, alone = "an equals sign", human.Visible(strings.TrimSuffix(rest, ";")), strings.HasPrefix(rest, "#")
	}
	switch {
	case i < 0:
		return "", errors.New(human.Quoted(flag) + ": unknown flag" + strings.ReplaceAll(suggest(p, flag), "--", ""))
	case envName(all[i]) == "" || all[i].Field().Tag.Get("no-ini") != "":
		return "", errors.New(flag + ": only on the command line")
	case !ok && (all[i].Field().Type.Kind() == reflect.Bool || flag == "verbose") && alone:
		return flag, assign(all[i], "true") // as on the command line
	case !ok && all[i].Field().Type.Kind() == reflect.Bool:
		return "", errors.New(flag + ": needs " + lacks + "; write " + flag + " = true")
	case !ok:
		return "", errors.New(flag + ": needs " + lacks + "; write " + flag + " = " + value)
	}
	given := strings.TrimSpace(v)
	v, err = uncommented(given)
	if err != nil {
		return "", errors.New(flag + ": " + err.Error())
	}
	err = assign(all[i], v)
	if err != nil && v != given && given[0] != '"' {
		return "", errors.New(err.Error() + "; a value with \" #\" needs quotes")
	}
	return flag, err
}

// index returns the index of the flag with the name, or -1.
func index(all []*flags.Option, name string) int {
	return slices.IndexFunc(all, func(o *flags.Option) bool { return o.LongName == name && name != "" })
}

// word splits a line after its first word.
func word(line string) (first, rest string) {
	line = strings.TrimPrefix(line, "--")
	first = line[:max(0, strings.IndexAny(line, " \t"))]
	return first, strings.TrimSpace(line[len(first):])
}

// uncommented removes the quotes of a value and the comment after it.
func uncommented(v string) (string, error) {
	if strings.HasPrefix(v, `"`) {
		quoted, err := strconv.QuotedPrefix(v)
		rest := strings.TrimSpace(v[len(quoted):])
		if err != nil || rest != "" && rest[0] != '#' {
			return "", errors.New(human.Quoted(v) + ": the closing quote is missing, or followed by text")
		}
		return strconv.Unquote(quoted)
	}
	if strings.HasPrefix(v, "#") {
		return "", nil
	}
	for _, mark := range []string{" #", "\t#"} {
		v, _, _ = strings.Cut(v, mark)
	}
	return strings.TrimSpace(v), nil
}
