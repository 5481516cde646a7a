package share

import (
	"bufio"
	"cmp"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"phalanx/internal/human"
)

// Config configures a [Session].
type Config struct {
	Out      io.Writer  // must not block
	Width    func() int // of the terminal in columns; nil: not a terminal, so no lines change
	Coloured bool

	What        []string  // paths of files and directories
	Prefix      string    // of all paths, see NewPrefix
	Credentials string    // "user:password", to be shown; "": none are required
	Until       time.Time // when it ends; zero: no limit

	Now func() time.Time
}

// Session writes the output from the addresses to the summary. It is safe for concurrent
// use.
type Session struct {
	cfg   Config
	style style

	mu       sync.Mutex
	screen   screen
	ledger   ledger
	active   map[string]*active // by client
	draining bool

	quit   chan struct{}
	joined sync.WaitGroup
}

// active is a download under way.
type active struct {
	Transfer
	began, seen time.Time
	rate        float64 // bytes per second
}

// refresh is the interval at which downloads are listed.
const refresh = 500 * time.Millisecond

// New returns a session that has not begun.
func New(cfg Config) *Session {
	return &Session{
		cfg: cfg, style: style{cfg.Coloured}, screen: screen{out: cfg.Out, width: cfg.Width},
		active: make(map[string]*active), quit: make(chan struct{}),
	}
}

// Begin shows the addresses and, on a terminal, the downloads from now on. fingerprint is that
// of a self-signed certificate, "" if there is none. transfers lists the downloads under way,
// and may block for seconds.
func (s *Session) Begin(addresses []Address, fingerprint string, transfers func() []Transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.screen.write(s.head(addresses, fingerprint), nil)
	if s.cfg.Width == nil {
		return
	}
	s.joined.Go(func() {
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.update(transfers())
			case <-s.quit:
				return
			}
		}
	})
}

// Read shows the events of a log until its end.
func (s *Session) Read(log io.Reader) {
	lines := bufio.NewReaderSize(log, 64<<10)
	for {
		line, long, err := lines.ReadLine()
		if err != nil {
			return
		}
		if e, ok := parseEvent(line); ok && !long {
			s.show(&e)
		}
	}
}

// show shows an event.
func (s *Session) show(e *event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if e.warning() {
		text := strings.TrimSuffix(human.Visible(strings.Join([]string{e.Message, e.Error}, ": ")), ": ")
		s.screen.write([]string{s.style.paint(dim, now.Format(time.TimeOnly)) + "  " + s.style.paint(yellow, "! "+text)}, s.changing())
		return
	}
	if !e.request() {
		return
	}
	k, name, client := e.kind(), file(e.Path, s.cfg.Prefix, s.root()), human.Visible(human.Host(e.Client))
	if k == downloaded || k == interrupted {
		s.ledger.add(name, client, e.Bytes, k == downloaded && e.Status == 200)
		delete(s.active, e.Client)
	}
	if k == other {
		return
	}
	s.screen.write([]string{s.style.row(now, client, k, name, e.outcome(k), s.screen.columns())}, s.changing())
}

// root returns the name of the archive of everything shared.
func (s *Session) root() string {
	if len(s.cfg.What) != 1 {
		return "files"
	}
	return path.Base(s.cfg.What[0])
}

// update shows the downloads under way.
func (s *Session) update(found []Transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	had := len(s.active) > 0 || len(s.screen.drawn) > 0
	maps.DeleteFunc(s.active, func(client string, _ *active) bool {
		return !slices.ContainsFunc(found, func(t Transfer) bool { return t.Client == client })
	})
	for _, t := range found {
		if !page(t.Target) {
			s.track(t, now)
		}
	}
	if (had || len(s.active) > 0) && !s.screen.late() {
		s.screen.write(nil, s.changing())
	}
}

// track records the progress of a download. The rate is a moving average over about three
// seconds.
func (s *Session) track(t Transfer, now time.Time) {
	a := s.active[t.Client]
	if a == nil || a.Target != t.Target || t.Sent < a.Sent {
		s.active[t.Client] = &active{Transfer: t, began: now, seen: now}
		return
	}
	seconds := now.Sub(a.seen).Seconds()
	if seconds <= 0 {
		return
	}
	latest := float64(t.Sent-a.Sent) / seconds
	if a.rate == 0 {
		a.rate = latest
	}
	weight := min(1, seconds/3)
	a.rate += (latest - a.rate) * weight
	a.Transfer, a.seen = t, now
}

// Draining shows that the server stops when the downloads under way have finished.
func (s *Session) Draining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining = true; s.cfg.Width != nil {
		s.screen.write(nil, s.changing())
	}
}

// End shows the summary. Nothing is shown after it.
func (s *Session) End() {
	close(s.quit)
	s.joined.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.ledger.summary()
	if s.cfg.Width != nil {
		lines = append([]string{""}, lines...)
	}
	s.screen.write(lines, nil)
}

// maxActive is the maximum number of downloads shown at once.
const maxActive = 8

// changing returns the lines about downloads under way.
func (s *Session) changing() []string {
	if s.cfg.Width == nil {
		return nil
	}
	all := slices.SortedFunc(maps.Values(s.active), func(a, b *active) int {
		return cmp.Or(a.began.Compare(b.began), strings.Compare(a.Client, b.Client))
	})
	width := s.screen.columns()
	var lines []string
	for _, a := range all[:min(len(all), maxActive)] {
		lines = append(lines, s.style.progress(file(a.Target, s.cfg.Prefix, s.root()), a.Transfer, a.rate, width))
	}
	if n := len(all) - maxActive; n > 0 {
		lines = append(lines, "and "+human.Plural(n, "more download", "more downloads"))
	}
	if s.draining {
		text := "Stopping."
		if len(all) > 0 {
			text = "Stopping when " + human.Plural(len(all), "download has", "downloads have") + " finished; press Ctrl-C again to stop now."
		}
		lines = append(lines, s.style.paint(yellow, clip(text, width-1)))
	}
	return lines
}
