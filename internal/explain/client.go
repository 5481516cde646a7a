package explain

import (
	"phalanx/internal/conn"
)

// clientSteps adds the steps that depend on the client's address.
func (s *server) clientSteps(x *conn.Exchange) {
	if s.cfg.Trust != nil {
		why := s.from.Host() + " is not a trusted proxy (--trusted-proxies), so it is the client"
		switch {
		case !s.cfg.Trust.Trusts(s.from):
		case x.Client == s.from:
			why = "the trusted proxy " + s.from.Host() + " names no client in " + s.cfg.Trust.Field + " (--client-header)"
		default:
			why = "the trusted proxy " + s.from.Host() + " names the client " + x.Client.Host() + " (--trusted-proxies, --client-header)"
		}
		s.say("client", why)
	}
	if s.cfg.Access == nil {
		return
	}
	ok, by := s.cfg.Access.Admits(x.Client)
	flag, verdict := "--deny", " is refused"
	if ok {
		flag, verdict = "--allow", " is admitted"
	}
	switch why := x.Client.Host() + verdict; {
	case by.String() != "":
		s.say("access", why+" by "+flag+" "+by.String())
	case ok:
		s.say("access", why+": it is in no network of --deny")
	default:
		s.say("access", why+": it is in no network of --allow")
	}
}
