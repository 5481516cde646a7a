package options

import (
	"cmp"
	"embed"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/observe/address"
)

// Shells run the program with this variable to complete a word. go-flags then calls the
// values' Complete ([flags.Completer]). The result is an [*Info], so that nothing is started.
const envCompletion = "GO_FLAGS_COMPLETION"

//go:embed shell
var scripts embed.FS

// script returns the completion script of a shell for the program name.
func script(s shell, name string) string {
	text, _ := scripts.ReadFile("shell/" + string(s)) // each shell has one
	function := strings.Map(func(c rune) rune {
		if c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
	return strings.NewReplacer("@NAME@", name, "@FUNCTION@", function).Replace(string(text))
}

// complete returns the completions. Commands are offered as the first argument only; their own
// flags follow.
func (s Start) complete() error {
	var all commands
	var l struct {
		line
		Args struct {
			Dir Base `positional-arg-name:"DIR"`
		} `positional-args:"yes"`
	}
	data, wantsHelp := any(&l), &l.Help
	args := s.Args
	if len(args) > 1 {
		if part, help := all.part(args[0]); part != nil {
			data, wantsHelp, args = part, help, args[1:]
		}
	}
	p := newParser(s.Name, data)
	var first []flags.Completion
	if typed := strings.Join(s.Args, ""); len(s.Args) <= 1 && !strings.HasPrefix(typed, "-") {
		for t := range definitions() {
			if name := t.Get("command"); strings.HasPrefix(name, typed) {
				first = append(first, flags.Completion{Item: name, Description: t.Get("description")})
			}
		}
		slices.SortFunc(first, func(a, b flags.Completion) int { return strings.Compare(a.Item, b.Item) })
	}
	err := parse(p, args, wantsHelp, new(bool))
	if info, ok := errors.AsType[*Info](err); ok {
		info.Text = answer(first).Text + info.Text
	}
	return cmp.Or(err, error(&Info{}))
}

// answer returns one candidate per line, with its description after a tab.
func answer(candidates []flags.Completion) *Info {
	var b strings.Builder
	for _, c := range candidates {
		b.WriteString(c.Item)
		if c.Description != "" {
			b.WriteString("\t" + c.Description)
		}
		b.WriteByte('\n')
	}
	return &Info{b.String()}
}

func (Base) Complete(match string) []flags.Completion      { return paths(match, false) }
func (Dir) Complete(match string) []flags.Completion       { return paths(match, false) }
func (File) Complete(match string) []flags.Completion      { return paths(match, true) }
func (AccessLog) Complete(match string) []flags.Completion { return paths(match, true) }

// Complete offers unix sockets.
func (Admin) Complete(match string) []flags.Completion {
	if !address.Address(match).Unix() {
		return nil
	}
	return paths(match, true)
}

// paths returns the directories, with a trailing slash, and if files is set the files whose
// path begins with match. Names with newlines or tabs are left out.
func paths(match string, files bool) []flags.Completion {
	dir, prefix := filepath.Split(match)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil // nothing to offer
	}
	var fit []flags.Completion
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, prefix) || prefix == "" && name[0] == '.' || strings.ContainsAny(name, "\n\t") {
			continue
		}
		info, err := os.Stat(dir + name) // follows links
		switch {
		case err == nil && info.IsDir():
			fit = append(fit, flags.Completion{Item: dir + name + "/"})
		case files:
			fit = append(fit, flags.Completion{Item: dir + name})
		}
	}
	return fit
}
