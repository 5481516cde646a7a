package main

import (
	"os"

	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// followRules reads the rules of the sites and takes them anew whenever they change. The
// master has read them before it started any worker; a worker that comes later and cannot
// serves without them until they are right again: better than to serve nothing.
func followRules(opts options.WorkerOptions, log *os.File, sites *website.Sites) (stop func(), err error) {
	out := logWriter(opts, log)
	closers := closers{out.Close}
	for number, root := range sites.All() {
		t := ruleTeller{opts, log, out, ""}
		if len(sites.Names) > 0 {
			t.site = sites.Names[number]
		}
		stopWatch, err := t.follow(root)
		if err != nil {
			closers.close()
			return nil, err
		}
		closers = append(closers, stopWatch)
	}
	return closers.close, nil
}

// follow reads the rules of one site, and takes them anew.
func (t ruleTeller) follow(root *site.Root) (stop func(), err error) {
	texts := website.GivenRules(t.opts.Options)
	if err := root.ReadRules(texts); err != nil {
		if given := root.GiveRules(texts); given != nil {
			return nil, given
		}
		t.alert(err.Error() + "; serving without these rules until that is corrected")
	}
	return root.WatchRules(func(err error) {
		switch {
		case t.opts.Slot > 0: // all workers notice the same, and one says it
			return
		case err != nil:
			t.alert(err.Error() + "; the current rules stay in force")
			return
		}
		redirects, headers := root.Rules().Size()
		t.inform(redirects, headers)
	}), nil
}

// ruleTeller says what became of rules.
type ruleTeller struct {
	opts options.WorkerOptions
	log  *os.File
	out  *logging.Writer
	site string // that the rules are of; "": there is one
}

// inform logs that rules were read.
func (t ruleTeller) inform(redirects, headers int) {
	log := journal(t.opts, t.opts.Verbose, t.log, t.out)
	e := log.Info()
	if t.site != "" {
		e = e.Str("site", t.site)
	}
	e.Int("redirects", redirects).Int("headers", headers).Msg("rules of the site read")
}

// alert tells operators, even in silent mode.
func (t ruleTeller) alert(text string) {
	log := alerting(t.opts, t.log, t.out)
	if t.site != "" {
		text = "site " + t.site + ": " + text
	}
	log.Warn().Msg(text)
}
