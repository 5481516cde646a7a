package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/rs/zerolog"

	"phalanx/internal/human"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/options"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// follow reads the rules of the sites, and again whenever they change, and switches releases
// when a base points to another one. The master has checked the rules before it started the
// first worker. A later worker that finds invalid rules serves without them until they are
// corrected.
func follow(opts options.WorkerOptions, log *os.File, sites *website.Sites, row *scoreboard.Row, draining func() bool) (stop func(), err error) {
	out := logWriter(opts, log)
	closers := closers{out.Close}
	for number, root := range sites.All() {
		t := &reporter{opts: opts, log: journal(opts, opts.Verbose, log, out), alerts: alerting(opts, log, out), row: row, draining: draining}
		if len(sites.Names) > 0 {
			t.prefix = "site " + sites.Names[number] + ": "
			t.log = t.log.With().Str("site", sites.Names[number]).Logger()
		}
		if err := t.read(root); err != nil {
			closers.close()
			return nil, err
		}
		if root.Follows() {
			closers = append(closers, sites.Follow(number, opts.Options, t.news).Close)
		} else {
			closers = append(closers, root.WatchRules(func(err error) { t.rules(root, err) }))
		}
	}
	return closers.close, nil
}

// reporter reports changes of a site's rules and releases. All workers notice them, but only the
// one in slot 0 reports them, until it drains: its options may be outdated then.
type reporter struct {
	opts   options.WorkerOptions
	log    zerolog.Logger // with the site, if there are several
	alerts zerolog.Logger // what operators must know even in silent mode
	prefix string         // of alerts: the site, if there are several
	row    *scoreboard.Row
	stale  bool // its base points to a directory that cannot be served

	draining func() bool
}

// silent reports whether another worker reports changes.
func (t *reporter) silent() bool { return t.opts.Slot > 0 || t.draining() }

// read reads the rules of a root for the first time.
func (t *reporter) read(root *site.Root) error {
	texts := website.GivenRules(t.opts.Options)
	if err := root.ReadRules(texts); err != nil {
		if given := root.SetRules(texts); given != nil {
			return given
		}
		if !root.Unreadable() { // otherwise the master reports that
			t.alert(err.Error() + "; serving without these rules until that is corrected")
		}
	}
	return nil
}

// rules reports that rules were read, or why not.
func (t *reporter) rules(root *site.Root, err error) {
	switch {
	case t.silent():
	case err != nil:
		t.alert(err.Error() + "; the current rules stay in force")
	default:
		redirects, headers := root.Rules().Size()
		t.log.Info().Int("redirects", redirects).Int("headers", headers).Msg("rules of the site read")
	}
}

// news counts and reports changes of releases.
func (t *reporter) news(n site.News) {
	if n.Kind == site.NewRules {
		t.rules(n.Root, n.Err)
		return
	}
	if stale := n.Err != nil; stale != t.stale {
		t.stale = stale
		t.row.Stale.Add(map[bool]int64{true: 1, false: -1}[stale])
	}
	if n.Kind == site.NewRelease && n.Err == nil {
		t.row.Releases.Add(1)
	}
	switch name := n.Root.Name(); {
	case t.silent():
	case n.Err != nil:
		t.alert(fmt.Sprintf("base: %v; the release %s stays in service until that is corrected", n.Err, human.Quoted(name)))
	default:
		t.log.Info().Str("release", name).Msg("release in service")
	}
}

// alert reports to operators, even in silent mode.
func (t *reporter) alert(text string) {
	t.alerts.Warn().Msg(t.prefix + strings.ReplaceAll(text, "\n", "; "))
}
