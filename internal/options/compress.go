package options

import (
	"math"
	"slices"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/human"
)

// Compress has the options of the command compress, besides those of serving.
type Compress struct {
	Codings []string // names of content codings, at least one of br, zstd and gzip
	Level   string   // LevelBest or LevelFast
	DryRun  bool     // only print what would be done
}

// The compression levels.
const (
	LevelBest = "best"
	LevelFast = "fast"
)

type compressCommand struct {
	Codings codings `long:"codings" value-name:"LIST" default:"br,zstd,gzip" unquote:"false" description:"content codings to make"`
	Level   level   `long:"level" value-name:"LEVEL" default:"best" description:"best, or fast with copies that are larger"`
	DryRun  bool    `short:"n" long:"dry-run" description:"only print what would be done"`
	line
	Args struct {
		Dir Base `positional-arg-name:"DIR" description:"document root; default: the current directory"`
	} `positional-args:"yes"`
}

type (
	codings string
	level   string
)

func (c *codings) UnmarshalFlag(v string) error {
	var seen []string
	for name := range strings.SplitSeq(v, ",") {
		if !slices.Contains([]string{"br", "zstd", "gzip"}, name) || slices.Contains(seen, name) {
			return invalid(v, "must be a list of br, zstd and gzip, separated by commas")
		}
		seen = append(seen, name)
	}
	*c = codings(v)
	return nil
}

func (level) words() []level { return []level{LevelBest, LevelFast} }

func (l *level) UnmarshalFlag(v string) error { return choose(l, v, l.words()) }

func (l level) Complete(match string) []flags.Completion { return fitting(match, l.words()) }

// CacheSize is a number of bytes, at least MinCache.
type CacheSize int64

// Limits of the cache directory, in bytes.
const (
	MinCache         = 1 << 20
	defaultCacheSize = 1 << 30
)

func (s *CacheSize) UnmarshalFlag(v string) error {
	return size(s, v, "must be 1M or more, such as 500M or 10G", between[int64](MinCache, math.MaxInt64))
}

// checkCaching refuses flags that need a cache directory without one.
func (o Options) checkCaching() error {
	if o.Compress && o.CacheDir == "" {
		return usage("--compress: needs --cache-dir DIR, such as /var/cache/phalanx, for the compressed copies")
	}
	if o.ETag == ETagContent && o.CacheDir == "" {
		return usage("--etag content: needs --cache-dir DIR, such as /var/cache/phalanx, for the digests of files")
	}
	return nil
}

// Caches reports whether the cache directory is used.
func (o Options) Caches() bool { return o.CacheDir != "" && (o.Compress || o.ETag != ETagTimes) }

// compress parses the command compress.
func (s Start) compress(c *Command) (*Command, error) {
	var e compressCommand
	var from origins
	var err error
	if c.Options, from, err = s.serving(c.Name, &e, &e.line); err != nil {
		return nil, err
	}
	if dir := e.Args.Dir; dir != "" {
		if from["base"].by == byCommandLine {
			return nil, usage(human.Quoted(string(dir)) + ": --base names the directory already; leave one of them out")
		}
		c.Options.Base, c.Options.Site, c.Options.StrictHost = dir, nil, false
	}
	c.Compress = &Compress{Codings: strings.Split(string(e.Codings), ","), Level: string(e.Level), DryRun: e.DryRun}
	return c, nil
}
