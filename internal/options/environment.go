package options

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// envPrefix is the prefix of all our variables.
const envPrefix = "PHALANX_"

// envUpgrade is not the variable of a flag: it passes the state of a master to its new binary
// in an upgrade.
const envUpgrade = "PHALANX_UPGRADE"

// envPort is the variable of --port. In pods that start after a Service named phalanx,
// Kubernetes sets it to the address of that service, which is ignored.
const envPort = "PHALANX_PORT"

// isLink reports whether a value is such an address, as in "tcp://10.0.0.1:80".
func isLink(v string) bool {
	protocol, _, ok := strings.Cut(v, "://")
	return ok && slices.Contains([]string{"tcp", "udp", "sctp"}, protocol)
}

// assign sets a flag to a value, or to several if it may be repeated. The value of -v is a
// count.
func assign(o *flags.Option, values ...string) error {
	kind := o.Field().Type.Kind()
	v := strings.Join(values, "\n")
	if n, err := strconv.Atoi(v); o.LongName == "verbose" {
		if on, bad := strconv.ParseBool(v); err != nil && bad == nil {
			if n, err = 0, nil; on {
				n = 1
			}
		}
		if err != nil || n < 0 || n > MaxVerbose {
			return invalid(v, "must be a count, 0 to 3")
		}
		values = slices.Repeat([]string{"true"}, n)
		if n == 0 {
			values = []string{"false"} // replaces earlier values
		}
	} else if _, err := strconv.ParseBool(v); kind == reflect.Bool && v != "" && err != nil {
		return invalid(v, "must be true or false")
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

// envName returns the variable of a flag, "" if it has none.
func envName(o *flags.Option) string {
	switch o.LongName {
	case "", "help", "version", "check", "slot", "row", "json", "interval":
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.LongName, "-", "_"))
}

// strayVariable returns an error for a variable that looks like a mistyped one of ours,
// because it would be ignored silently. Other variables with the prefix are not ours:
// Kubernetes sets PHALANX_SERVICE_HOST for a service named phalanx.
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
