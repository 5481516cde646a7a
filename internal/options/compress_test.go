package options

import (
	"reflect"
	"strings"
	"testing"
)

// The directory is that of the argument or of the file of --config, or the current one.
func TestParseCompress(t *testing.T) {
	file := saved(t, "base = /srv/of-file\ndotfiles = true\n")
	every := []string{"br", "zstd", "gzip"}
	for args, want := range map[string]struct {
		base     Base
		dotfiles bool
		compress Compress
	}{
		"":                        {".", false, Compress{every, LevelBest, false}},
		"www -n":                  {"www", false, Compress{every, LevelBest, true}},
		"--base www --level fast": {"www", false, Compress{every, LevelFast, false}},
		"--codings gzip,br www":   {"www", false, Compress{[]string{"gzip", "br"}, LevelBest, false}},
		"--config " + file:        {"/srv/of-file", true, Compress{every, LevelBest, false}},
		"-c " + file + " www":     {"www", true, Compress{every, LevelBest, false}},
	} {
		c, err := parseCommand("phalanx", append([]string{"compress"}, strings.Fields(args)...), noEnv)
		if err != nil || c.Options.Base != want.base || c.Options.Dotfiles != want.dotfiles || !reflect.DeepEqual(*c.Compress, want.compress) {
			t.Errorf("%s: %+v, %v, want %+v", args, c, err, want)
		}
	}
	for args, want := range map[string]string{
		"--codings deflate": "--codings deflate: must be a list of br, zstd and gzip, separated by commas",
		"--codings br,br":   "--codings br,br: must be a list of br, zstd and gzip, separated by commas",
		"--level 9":         "--level 9: must be best or fast",
		"a b":               "b: unexpected argument; see 'phalanx compress --help'",
		"--base a b":        "b: --base names the directory already; leave one of them out",
	} {
		if c, err := parseCommand("phalanx", append([]string{"compress"}, strings.Fields(args)...), noEnv); err == nil || err.Error() != want {
			t.Errorf("%s: %+v\n got %v\nwant %s", args, c, err, want)
		}
	}
}
