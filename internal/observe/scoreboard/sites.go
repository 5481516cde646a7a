package scoreboard

import (
	"maps"
	"slices"
	"sync/atomic"
)

// MaxSites is the number of sites that a row has room for, the one for all other hosts
// included.
const MaxSites = 257

// Site has the counters of one site in a row.
type Site struct {
	Requests [6]atomic.Uint64 // whose response has begun, by the first digit of the status
	Bytes    atomic.Uint64    // of content, of responses that have ended
}

// SiteTotals are the counters of a [Site] at one moment, or sums of several.
type SiteTotals struct {
	Requests [6]uint64
	Bytes    uint64
}

func (t *SiteTotals) add(s *Site) {
	for i := range s.Requests {
		t.Requests[i] += s.Requests[i].Load()
	}
	t.Bytes += s.Bytes.Load()
}

// Configure sets the names of the sites. Counters of sites that are no longer configured
// are dropped.
func (b *Board) Configure(sites []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sites = sites
	maps.DeleteFunc(b.pastSites, func(name string, _ *SiteTotals) bool { return !slices.Contains(sites, name) })
}

// SetSites sets the names of the sites that the process of a row counts, by number. It is
// called before the process is started.
func (b *Board) SetSites(row int, sites []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.taken[row]; ok {
		s.sites = sites
		b.taken[row] = s
	}
}

// Sites returns the counters of the configured sites, by name. Each process is counted
// once, whether it has just exited or not.
func (b *Board) Sites() map[string]SiteTotals {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := make(map[string]*SiteTotals)
	for _, name := range b.sites {
		sum[name] = new(SiteTotals)
		if past := b.pastSites[name]; past != nil {
			*sum[name] = *past
		}
	}
	for _, s := range b.taken {
		s.addSites(sum)
	}
	all := make(map[string]SiteTotals)
	for name, t := range sum {
		all[name] = *t
	}
	return all
}

// addSites adds the site counters of a row to those in to; other sites are left out.
func (s taken) addSites(to map[string]*SiteTotals) {
	for number, name := range s.sites {
		if t := to[name]; t != nil && number < MaxSites {
			t.add(&s.Row.Sites[number])
		}
	}
}

// keepSites adds the site counters of an exited process to pastSites.
func (b *Board) keepSites(s taken) {
	for _, name := range b.sites {
		if b.pastSites[name] == nil {
			b.pastSites[name] = new(SiteTotals)
		}
	}
	s.addSites(b.pastSites)
}

// siteState stores the sites in s, for an upgrade.
func (b *Board) siteState(s *State) {
	s.Sites, s.PastSites, s.RowSites = b.sites, maps.Clone(b.pastSites), make(map[int][]string)
	for row, t := range b.taken {
		if len(t.sites) > 0 {
			s.RowSites[row] = t.sites
		}
	}
}

// resumeSites restores the sites from s.
func (b *Board) resumeSites(s State) {
	if b.sites = s.Sites; s.PastSites != nil {
		b.pastSites = s.PastSites
	}
	for row, sites := range s.RowSites {
		if t, ok := b.taken[row]; ok {
			t.sites = sites
			b.taken[row] = t
		}
	}
}
