package options

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// origins has the origin of each flag that does not have its default.
type origins map[string]origin

// origin says where the values of a flag come from: one text for each value from the config file,
// otherwise one for all values.
type origin struct {
	by    source
	texts []string
}

// source is what has set a flag.
type source int

const (
	byDefault source = iota
	byFile
	byVariable
	byCommandLine
)

// effective returns the options in the form of a config file, each with its origin. Parsing
// that file results in the same options.
func effective(o Options, from origins) string {
	var b strings.Builder
	b.WriteString("# The options that the server would start with, in the form of a config file.\n")
	eachSetting(&b, func(flag *flags.Option) {
		values := o.values(flag)
		origin := from[flag.LongName].texts
		if len(origin) == 0 {
			origin = []string{defaultOrigin(flag, len(values) > 0)}
		}
		if elsewhere := o.unused(flag.LongName); elsewhere != "" {
			values, origin = nil, []string{"see " + elsewhere}
		}
		last := origin[len(origin)-1]
		if len(values) == 0 {
			fmt.Fprintf(&b, "%-41s # %s\n", "# "+flag.LongName+" = "+flag.ValueName, last)
		}
		for i, v := range values {
			if len(origin) == len(values) {
				last = origin[i]
			}
			fmt.Fprintf(&b, "%-41s # %s\n", flag.LongName+" = "+fileValue(v), last)
		}
	})
	return b.String()
}

// defaultOrigin returns the origin of a flag that is not set.
func defaultOrigin(flag *flags.Option, valued bool) string {
	switch mask := flag.DefaultMask; {
	case mask != "":
		return "default: " + mask
	case !valued:
		return "default: none"
	}
	return "default"
}

// unused returns the flag because of which another one has no effect; "" if it has an effect.
func (o Options) unused(flag string) string {
	switch {
	case (flag == "port" || flag == "bind") && len(o.Listen) > 0:
		return "listen"
	case flag == "base" && o.StrictHost:
		return "strict-host"
	case flag == "state" && len(o.ACME) == 0: // systemd may set it anyway
		return "acme"
	case flag == "cache-dir" && !o.Caches():
		return "etag"
	case flag == "admin-token-file" && o.Admin == "":
		return "admin"
	}
	return ""
}

// sample returns a config file in which every option is explained and none is set.
func sample(program string) string {
	o := initial()
	o.Index = []Name{"index.html"}
	var b strings.Builder
	fmt.Fprintf(&b, `# Configuration of Phalanx: a flag of %[1]s on each line, without its dashes.
# A line that begins with # and a name has the default or an example; remove the
# # to set it. A flag that may be repeated has a line for each value. Flags and
# variables override this file. Check it with
#
#     %[1]s --config FILE --check
#
# and apply it to a running server with
#
#     %[1]s reload --admin ADDR
`, program)
	eachSetting(&b, func(flag *flags.Option) {
		text := sentence(flag.Description)
		if detail := flag.Field().Tag.Get("detail"); detail != "" {
			text += " " + detail
		}
		note := ""
		values := o.values(flag)
		if example := flag.Field().Tag.Get("example"); len(values) == 0 {
			values, note = []string{example}, "# example"
		}
		if flag.DefaultMask != "" {
			text += " Default: " + flag.DefaultMask + "."
		}
		b.WriteString("\n" + human.Wrap(80, "# ", "# ", text))
		for _, v := range values {
			b.WriteString(strings.TrimRight(fmt.Sprintf("%-41s %s", "#"+flag.LongName+" = "+fileValue(v), note), " ") + "\n")
		}
	})
	return b.String()
}

// eachSetting calls write for each flag that a config file may have, and writes the name of
// each group before its first flag.
func eachSetting(b *strings.Builder, write func(*flags.Option)) {
	for _, g := range grouped(list(newParser("", &line{}))) {
		fmt.Fprintf(b, "\n# %s\n", g.name)
		for _, flag := range g.options {
			if envName(flag) != "" && flag.Field().Tag.Get("no-ini") == "" {
				write(flag)
			}
		}
	}
}

// values returns the values of a flag as in a config file.
func (o Options) values(flag *flags.Option) []string {
	if flag.LongName == "verbose" {
		return []string{strconv.Itoa(o.Verbose)}
	}
	return texts(flag.Field(), reflect.ValueOf(o).FieldByName(flag.Field().Name))
}

// texts returns the values of a field as UnmarshalFlag reads them; none if it has no value.
func texts(field reflect.StructField, v reflect.Value) []string {
	switch kind := field.Tag.Get("value-name"); {
	case v.Kind() == reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, fmt.Sprint(v.Index(i)))
		}
		return all
	case kind == "DURATION":
		return []string{human.Duration(time.Duration(v.Int()))}
	case kind == "BYTES" && v.CanInt():
		return []string{sized(v.Int())}
	case v.Kind() == reflect.String && v.Len() == 0:
		return nil
	}
	return []string{fmt.Sprint(v)}
}

// sized formats a number of bytes with the largest suffix that leaves an integer: 1G.
func sized(n int64) string {
	suffix := ""
	for _, next := range []string{"k", "M", "G"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, suffix = n/1024, next
	}
	return strconv.FormatInt(n, 10) + suffix
}

// fileValue returns a value as in a config file, in quotes if it needs them.
func fileValue(v string) string {
	plain, err := uncommented(v)
	if err != nil || plain != v || v == "" || strings.ContainsAny(v, "\n\r") {
		return strconv.Quote(v)
	}
	return v
}
