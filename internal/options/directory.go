package options

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// directory checks the arguments that are not flags. The server accepts one, the document
// root, before or after its flags.
func directory(p *flags.Parser, rest []string) error {
	switch {
	case len(rest) == 0:
		return nil
	case p.LongDescription != "" && !strings.HasSuffix(p.Name, " config"):
		return unexpected(p, rest[0])
	case tag(rest[0], "command") != "":
		return usage(rest[0] + ": commands must be the first argument; see '" + p.Name + " " + rest[0] + " --help'")
	}
	if err := checkArgument(p.Name, rest[0]); err != nil {
		return err
	}
	if len(rest) > 1 {
		return unexpected(p, rest[1])
	}
	if !p.FindOptionByLongName("base").IsSetDefault() {
		return usage(human.Quoted(rest[0]) + ": --base names the directory already; leave one of them out")
	}
	return nil
}

// unexpected returns the error for an unexpected argument.
func unexpected(p *flags.Parser, arg string) error {
	if port := strings.TrimPrefix(arg, ":"); isNumber(port) && p.LongDescription == "" { // commands take no port
		return usage(human.Quoted(arg) + ": unexpected argument; '-p " + port + "' listens on that port")
	}
	return usage(human.Quoted(arg) + ": unexpected argument; see '" + p.Name + " --help'")
}

// checkArgument returns an error if an argument is neither a directory nor looks like a path. The
// error suggests what may have been meant.
func checkArgument(program, arg string) error {
	info, err := os.Stat(arg)
	see := "; see '" + program + " --help'"
	typed := human.Quoted(arg)
	switch {
	case err == nil && !info.IsDir():
		return usage(typed + ": is a file; '" + program + " share " + typed + "' shares it, '" + program + " " + human.Quoted(filepath.Dir(arg)) + "' serves its directory")
	case err == nil, strings.Contains(arg, "/"):
		return nil
	case isNumber(strings.TrimPrefix(arg, ":")):
		return usage(typed + ": no such command or directory; '" + program + " -p " + strings.TrimPrefix(arg, ":") + "' listens on that port")
	}
	switch arg {
	case "serve", "server", "start", "run", "up", "http", "http-server", "file-server":
		return usage(typed + ": no such command or directory; '" + program + " DIR' serves a directory, '" + program + "' the current one" + see)
	}
	var names []string
	for t := range definitions() {
		names = append(names, t.Get("command"))
	}
	if near := nearest(arg, names, ""); near != "" {
		return usage(typed + ": no such command or directory; did you mean " + near + "?" + strings.TrimPrefix(see, ";"))
	}
	return usage(typed + ": no such command or directory" + see)
}

// checkDashes refuses long flags with one dash, which Go's flag package accepts: here -port 80
// would be -p with the value ort.
func checkDashes(p *flags.Parser, args []string) error {
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		switch {
		case arg == "--":
			return nil
		case len(name) < 2 || arg[0] != '-':
		case slices.ContainsFunc(list(p), func(o *flags.Option) bool { return o.LongName == name }):
			return usage("-" + name + ": unknown flag; write --" + name)
		}
	}
	return nil
}
