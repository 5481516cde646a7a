package options

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"
)

// envPrefix begins the name of each of our variables.
const envPrefix = "PHALANX_"

// envUpgrade is no flag's: by it a master tells the program that replaces it
// what it leaves.
const envUpgrade = "PHALANX_UPGRADE"

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
				return usage(key + " " + printable(v) + ": must be a count, 0 to 3")
			}
			l.Verbose = int(n)
		default:
			if err := setLines(o, v); err != nil {
				text := strings.TrimPrefix(err.Error(), "--"+o.LongName)
				return usage(key + text)
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
	case "", "help", "version", "check", "slot", "row", "json", "interval":
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.LongName, "-", "_"))
}

// strayVariable returns an error that names a variable which is nearly
// one of ours: what it was to set would silently be as if it were not there. Others
// that begin alike mean something to somebody else (Kubernetes sets
// PHALANX_SERVICE_HOST beside a service of that name).
func strayVariable(p *flags.Parser, environ []string) error {
	var names []string
	for _, o := range list(p) {
		names = append(names, envName(o))
	}
	for _, setting := range environ {
		key, v, _ := strings.Cut(setting, "=")
		if !strings.HasPrefix(key, envPrefix) || v == "" || key == envUpgrade || slices.Contains(names, key) {
			continue
		}
		if near := nearest(key[len(envPrefix):], names, envPrefix); near != "" {
			return usage(printable(key) + ": no flag has this variable; did you mean " + near + "?")
		}
	}
	return nil
}
