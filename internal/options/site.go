package options

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// Site is a document root and the hosts that it serves.
type Site struct {
	// Hosts are in the form of [proto.Request.Host], in lower case and without a trailing dot:
	// names, wildcards such as *.example.org for one more label, or IP addresses.
	Hosts []string
	Dir   Base
}

// Limits of --site. Sites are passed on the command lines of workers.
const (
	MaxSites = 256
	MaxHosts = 1000 // of all sites together
)

func (s Site) String() string { return strings.Join(s.Hosts, ",") + "=" + string(s.Dir) }

// Name returns the name of the site in logs and metrics: its first host.
func (s Site) Name() string { return s.Hosts[0] }

func (s *Site) UnmarshalFlag(v string) error {
	hosts, dir, ok := strings.Cut(v, "=")
	if dir = strings.TrimSpace(dir); !ok || dir == "" || strings.ContainsRune(dir, 0) {
		return invalid(v, "must be HOST=DIR, such as www.example.org=/srv/www")
	}
	site := Site{Dir: Base(dir)}
	for host := range strings.SplitSeq(hosts, ",") {
		name, cure := siteHost(host)
		if cure != "" {
			return invalid(v, cure)
		}
		site.Hosts = append(site.Hosts, name)
	}
	*s = site
	return nil
}

// siteHost returns a host in the form of [Site], or how to correct it.
func siteHost(text string) (name, cure string) {
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "."))
	bare := strings.TrimPrefix(name, "*.")
	switch {
	case strings.Contains(name, "://"), strings.Contains(name, "/"):
		return "", "name the host alone, without scheme and path, such as www.example.org=/srv/www"
	case strings.HasPrefix(name, "["):
		return literal(name)
	case strings.Count(name, ":") > 1:
		return "", "an IPv6 address has brackets, as in [::1]=/srv/www"
	case strings.Contains(name, ":"):
		return "", "a site is the same at every port; leave the port out"
	case name == "*":
		return "", "the site of all other hosts is --base; a wildcard has a name, as in *.example.org"
	case strings.Contains(bare, "*"):
		return "", "a wildcard stands for the first label alone, as in *.example.org"
	case isNumber(bare[strings.LastIndexByte(bare, '.')+1:]):
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is4() {
			return "", "is neither a name nor an IP address"
		}
		return name, ""
	}
	return name, nameCure(strings.ReplaceAll(bare, "_", "x"))
}

// literal returns an IPv6 address in brackets, in canonical form (RFC 5952).
func literal(name string) (canonical, cure string) {
	ip, err := netip.ParseAddr(strings.TrimSuffix(name[1:], "]"))
	switch {
	case !strings.HasSuffix(name, "]") && strings.Contains(name, "]:"):
		return "", "a site is the same at every port; leave the port out"
	case err != nil, !ip.Is6(), ip.Zone() != "", !strings.HasSuffix(name, "]"):
		return "", "must be an IPv6 address in brackets, such as [::1]=/srv/www"
	}
	return "[" + ip.String() + "]", ""
}

// Complete offers directories after the hosts.
func (Site) Complete(match string) []flags.Completion {
	hosts, dir, ok := strings.Cut(match, "=")
	if !ok {
		return nil
	}
	all := paths(dir, false)
	for i := range all {
		all[i].Item = hosts + "=" + all[i].Item
	}
	return all
}

// Default reports whether --base is the site of all other hosts.
func (o Options) Default() bool { return !o.StrictHost }

// SiteNames returns the names of the sites in logs and metrics, by site number; 0 is the site
// of all other hosts. nil: there is one site for all hosts.
func (o Options) SiteNames() []string {
	if len(o.Site) == 0 {
		return nil
	}
	names := []string{"*"}
	for _, s := range o.Site {
		names = append(names, s.Name())
	}
	return names
}

// SiteHosts returns the hosts of all sites, in the form of certificates.
func (o Options) SiteHosts() (all []string) {
	for _, s := range o.Site {
		for _, host := range s.Hosts {
			all = append(all, strings.Trim(host, "[]"))
		}
	}
	return all
}

// checkSiteFlags refuses sites that contradict each other or the base. by is what has set the base; a
// variable does not contradict --strict-host, because a container image may set it.
func (o Options) checkSiteFlags(by source) error {
	switch {
	case o.StrictHost && len(o.Site) == 0:
		return usage("--strict-host: refuses all hosts without a --site, and there is none; add --site HOST=DIR")
	case o.StrictHost && by != byDefault && by != byVariable:
		return usage("--strict-host: refuses all hosts without a --site, so --base " + human.Quoted(string(o.Base)) + " would not be used; leave one of them out")
	case len(o.Site) > 0 && !o.StrictHost && by == byDefault:
		return usage("--site: other hosts need a site too; name its directory with --base DIR, or refuse them with --strict-host")
	case len(o.Site) > MaxSites:
		return usage("--site: given " + strconv.Itoa(len(o.Site)) + " times; the limit is " + strconv.Itoa(MaxSites))
	}
	taken := make(map[string]Base)
	for _, s := range o.Site {
		for _, host := range s.Hosts {
			if dir, ok := taken[host]; ok {
				return usage("--site " + human.Quoted(s.String()) + ": " + host + " has " + human.Quoted(string(dir)) + " already; leave one of them out")
			}
			taken[host] = s.Dir
		}
	}
	if len(taken) > MaxHosts {
		return usage("--site: " + strconv.Itoa(len(taken)) + " hosts; the limit is " + strconv.Itoa(MaxHosts))
	}
	return nil
}

// CheckSites returns the options with absolute document roots, or an [*exitcode.Error], as
// [CheckBase] does.
func CheckSites(o Options) (Options, error) {
	var err error
	if o.Default() {
		if o.Base, err = CheckBase(o.Base); err != nil {
			return o, err
		}
	}
	o.Site = slices.Clone(o.Site)
	for i, s := range o.Site {
		if o.Site[i].Dir, err = CheckBase(s.Dir); err != nil {
			return o, exitcode.New(exitcode.Config, "--site "+human.Quoted(s.Name()+"="+string(s.Dir))+strings.TrimPrefix(err.Error(), "--base "+human.Quoted(string(s.Dir))), err)
		}
	}
	return o, nil
}
