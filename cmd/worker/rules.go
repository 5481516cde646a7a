package main

import (
	"os"

	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// followRules reads the rules of the site and takes them anew whenever they change. The
// master has read them before it started any worker; a worker that comes later and cannot
// serves without them until they are right again: better than to serve nothing.
func followRules(opts options.WorkerOptions, log *os.File, root *site.Root) (stop func(), err error) {
	t := ruleTeller{opts, log, logging.NewWriter(log, string(opts.LogFormat))}
	if err := website.ReadRules(root, opts.Options); err != nil {
		if given := root.GiveRules(website.GivenRules(opts.Options)); given != nil {
			t.out.Close()
			return nil, given
		}
		t.alert(err.Error() + "; serving without these rules until that is corrected")
	}
	stopWatch := root.WatchRules(func(err error) {
		switch {
		case opts.Slot > 0: // all workers notice the same, and one says it
			return
		case err != nil:
			t.alert(err.Error() + "; the current rules stay in force")
			return
		}
		redirects, headers := root.Rules().Size()
		t.inform(redirects, headers)
	})
	return func() {
		stopWatch()
		t.out.Close()
	}, nil
}

// ruleTeller says what became of rules.
type ruleTeller struct {
	opts options.WorkerOptions
	log  *os.File
	out  *logging.Writer
}

// inform logs that rules were read.
func (t ruleTeller) inform(redirects, headers int) {
	log := journal(t.opts, t.log, t.out)
	log.Info().Int("redirects", redirects).Int("headers", headers).Msg("rules of the site read")
}

// alert tells operators, even in silent mode.
func (t ruleTeller) alert(text string) {
	log := journal(t.opts, t.log, t.out)
	if t.opts.Verbose == 0 {
		log = logging.Alerts(t.log, string(t.opts.LogFormat), logging.Options{Through: t.out})
	}
	log.Warn().Msg(text)
}
