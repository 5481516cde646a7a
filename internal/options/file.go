package options

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// setting is a line of a config file.
type setting struct {
	number int // from 1
	value  string
}

// readFile returns the lines of a config file by flag. Each line is a flag without its dashes, "="
// and a value, which may be in double quotes. A line that begins with # or ; is a comment, and so
// is the rest of a line after " #". A byte order mark and CRLF are accepted. The values are checked
// as those of data, a pointer to a struct of flags. The error has one line for each error in the
// file.
func (s Start) readFile(command string, data any, file string) (lines map[string][]setting, err error) {
	p := s.parserOf(command, reflect.New(reflect.TypeOf(data).Elem()).Interface())
	name := "--config " + human.Quoted(file)
	text, err := content(file)
	switch path, ok := errors.AsType[*fs.PathError](err); {
	case ok:
		return nil, exitcode.New(exitcode.Config, fmt.Sprintf("%s: %v; create it or name another", name, path.Err), err)
	case err != nil: // no other errors are possible
		return nil, exitcode.New(exitcode.Config, fmt.Sprintf("%s: %v; name a file of flags", name, err), err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, exitcode.New(exitcode.Config, name+": is not in UTF-8; save it as UTF-8", nil)
	}
	number := 0
	lines = make(map[string][]setting)
	var wrong []error
	for line := range strings.Lines(string(text)) {
		number++
		flag, value, err := fromLine(p, strings.TrimSpace(line))
		if flag != "" {
			lines[flag] = append(lines[flag], setting{number, value})
		}
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

// content returns the content of a config file, which may be a pipe. A device such as /dev/zero has
// no end.
func content(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if len(text) > maxConfig {
		return nil, errors.New("is larger than " + human.Bytes(maxConfig))
	}
	return text, err
}

// maxConfig is the largest size of a config file in bytes, enough for a million networks.
const maxConfig = 16_000_000

// maxErrors is the largest number of errors in a file that are reported at once.
const maxErrors = 10

// fromLine returns the flag of a line and its value, "" if the line has none.
func fromLine(p *flags.Parser, line string) (flag, value string, err error) {
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", nil
	}
	if line[0] == '[' {
		return "", "", errors.New(human.Visible(human.Clip(line, longestName)) + ": sections are not supported; remove the line")
	}
	flag, v, ok := strings.Cut(line, "=")
	flag = strings.TrimPrefix(strings.TrimSpace(flag), "--")
	all := list(p)
	i, lacks, example, alone := index(all, flag), "a value", "VALUE", true
	if name, rest := word(line); i < 0 && index(all, name) >= 0 {
		flag, i, ok = name, index(all, name), false
		lacks, example, alone = "an equals sign", human.Visible(strings.TrimSuffix(rest, ";")), strings.HasPrefix(rest, "#")
	}
	switch {
	case i < 0 && len(flag) > longestName: // this is no config file
		return "", "", errors.New(human.Quoted(human.Clip(flag, longestName)) + ": unknown flag")
	case i < 0:
		return "", "", errors.New(human.Quoted(flag) + ": unknown flag" + strings.ReplaceAll(suggest(p, flag), "--", ""))
	case envName(all[i]) == "" || all[i].Field().Tag.Get("no-ini") != "":
		return "", "", errors.New(flag + ": only on the command line")
	case !ok && (all[i].Field().Type.Kind() == reflect.Bool || flag == "verbose") && alone:
		return flag, "true", nil // as on the command line
	case !ok && all[i].Field().Type.Kind() == reflect.Bool:
		return "", "", errors.New(flag + ": needs " + lacks + "; write " + flag + " = true")
	case !ok:
		return "", "", errors.New(flag + ": needs " + lacks + "; write " + flag + " = " + example)
	}
	given := strings.TrimSpace(v)
	value, err = uncommented(given)
	if err != nil {
		return "", "", errors.New(flag + ": " + err.Error())
	}
	err = assign(all[i], value)
	if err != nil && value != given && given[0] != '"' {
		err = errors.New(err.Error() + "; a value with \" #\" needs quotes")
	}
	if err != nil {
		err = errors.New("--" + flag + err.Error())
	}
	return flag, value, err
}

// longestName is the length in bytes beyond which the name of an unknown flag is shortened.
const longestName = 40

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
