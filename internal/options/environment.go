package options

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// envPrefix begins the name of each of our variables.
const envPrefix = "PHALANX_"

// envUpgrade is not the variable of a flag: in it a master passes its state to the
// program that replaces it.
const envUpgrade = "PHALANX_UPGRADE"

// envPort is the variable of --port, which Kubernetes sets too in pods that start after a
// Service named phalanx: to the address of that service.
const envPort = "PHALANX_PORT"

// linked returns that address, "tcp://10.0.0.1:80"; "" if Kubernetes has set none.
func linked(getenv func(string) string) string {
	v := getenv(envPort)
	for _, protocol := range [...]string{"tcp", "udp", "sctp"} {
		if strings.HasPrefix(v, protocol+"://") {
			return v
		}
	}
	return ""
}

// withoutLink is the environment without that address.
func withoutLink(getenv func(string) string) func(string) string {
	if linked(getenv) == "" {
		return getenv
	}
	return func(key string) string {
		if key == envPort {
			return ""
		}
		return getenv(key)
	}
}

// fromEnv sets what the command line has not given. go-flags could read the
// environment itself, but only the process's own.
func fromEnv(p *flags.Parser, given map[string]bool, getenv func(string) string) error {
	for _, o := range list(p) {
		key := envName(o)
		if key == "" || given[o.LongName] {
			continue
		}
		if v := getenv(key); v != "" {
			if err := assign(o, strings.Split(strings.TrimSpace(v), "\n")...); err != nil {
				return usage(key + strings.TrimPrefix(err.Error(), "--"+o.LongName))
			}
		}
	}
	return nil
}

// assign gives a flag a value, or several to one that may be repeated; -v takes
// how often.
func assign(o *flags.Option, values ...string) error {
	kind := o.Field().Type.Kind()
	v := strings.Join(values, "\n")
	if n, err := strconv.Atoi(v); o.LongName == "verbose" {
		if on, bad := strconv.ParseBool(v); err != nil && bad == nil && on {
			n, err = 1, nil
		}
		if err != nil || n < 0 || n > MaxVerbose {
			return invalid(o.LongName, v, "must be a count, 0 to 3")
		}
		values = slices.Repeat([]string{"true"}, n)
		if n == 0 {
			values = []string{"false"} // in the place of what was there
		}
	} else if _, err := strconv.ParseBool(v); kind == reflect.Bool && v != "" && err != nil {
		return invalid(o.LongName, v, "must be true or false")
	}
	if kind != reflect.Slice {
		return o.Set(&v)
	}
	for _, v := range values {
		if err := o.Set(&v); err != nil {
			return err
		}
	}
	return nil
}

// envName returns the variable that stands for a flag, "" if there is none.
func envName(o *flags.Option) string {
	switch o.LongName {
	case "", "help", "version", "check", "slot", "row", "json", "interval":
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.LongName, "-", "_"))
}

// strayVariable returns an error that names a variable which is nearly one of ours,
// because it would be ignored silently. Other variables with the same prefix belong
// to other programs (Kubernetes sets
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
			return usage(human.Quoted(key) + ": no flag has this variable; did you mean " + near + "?")
		}
	}
	return nil
}
