package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/accesslog"
	"phalanx/internal/exitcode"
	"phalanx/internal/helper"
	"phalanx/internal/human"
	"phalanx/internal/ipc"
	"phalanx/internal/listen"
	"phalanx/internal/observe/address"
	"phalanx/internal/observe/admin"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/snapshot"
	"phalanx/internal/observe/status"
	"phalanx/internal/observe/token"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// monitor has what observes the pool: scoreboard, access log and admin endpoint, which are
// kept across an upgrade.
type monitor struct {
	*snapshot.Observer
	board *os.File
	rings int      // descriptor of the doorbell's read end
	bell  *os.File // the write end, which workers inherit
	where string   // addresses of the website
	alert func(string)
	info  atomic.Pointer[snapshot.Info]
	token atomic.Pointer[token.Token]
	used  atomic.Pointer[options.Options] // in force

	endpoint   *admin.Listener // nil: there is no admin endpoint
	server     *admin.Server
	suspending sync.WaitGroup

	readmes *renderer
	helper  *helper.Runner
	cache   atomic.Pointer[fs.FileInfo] // the directory of the last helper; nil: there was none
}

// newMonitor creates the monitor, or restores it after an upgrade. After an upgrade errors are
// only reported, because workers are serving.
func newMonitor(o options.Options, before *upgrade.Carried, addresses []listen.Address, certs *certificates, stdout *os.File, log zerolog.Logger, alert func(string)) (*monitor, error) {
	board, err := before.Scoreboard()
	if err != nil {
		return nil, err
	}
	bell, lost, err := doorbell(before)
	if err != nil {
		return nil, err
	}
	m := &monitor{
		board: os.NewFile(uintptr(board.Descriptor()), "scoreboard"), rings: bell.In, bell: os.NewFile(uintptr(bell.Out), "doorbell"),
		where: where(addresses), alert: alert, readmes: newRenderer(o.Identity),
	}
	m.used.Store(&o)
	m.helper = newHelper(func() options.Options { return *m.used.Load() }, func(dir fs.FileInfo) { m.cache.Store(&dir) }, alert)
	lines := accesslog.New(accesslog.Config{Stdout: stdout, Doorbell: bell, Lost: lost, Alert: alert})
	cfg := snapshot.Config{
		Board: board, Controller: supervise.NewController(), Log: lines, Started: started(before),
		Info: func() snapshot.Info { return *m.info.Load() }, Helper: m.helps,
	}
	certs.show(&cfg)
	if m.Observer, err = snapshot.New(cfg); err != nil {
		return nil, err
	}
	m.describe(o)
	err = logError(lines.Use(string(o.AccessLog)))
	if err == nil || before != nil {
		err = errors.Join(err, m.openEndpoint(o, before, log))
	}
	if err != nil && before != nil {
		alert(strings.ReplaceAll(err.Error(), "\n", "; ") + "; continuing without it")
		err = nil
	}
	if before == nil && err == nil {
		warn(o, alert)
	}
	return m, err
}

// started returns when the master was started, before any upgrades.
func started(before *upgrade.Carried) time.Time {
	if before != nil && !before.Started.IsZero() {
		return before.Started
	}
	return time.Now()
}

// doorbell returns the doorbell of the access log, new or from before the upgrade, and the
// number of lines lost so far.
func doorbell(before *upgrade.Carried) (bell accesslog.Doorbell, lost uint64, err error) {
	if before != nil {
		lost = before.Lost
	}
	if before != nil && len(before.Doorbell) == 2 {
		bell.In, bell.Out = before.Doorbell[0], before.Doorbell[1]
		unix.CloseOnExec(bell.In)
		unix.CloseOnExec(bell.Out)
		return bell, lost, nil
	}
	bell, err = accesslog.NewDoorbell()
	return bell, lost, err
}

// doorbell returns the descriptors of the doorbell, for an upgrade.
func (m *monitor) doorbell() []int { return []int{m.rings, int(m.bell.Fd())} }

// openEndpoint opens the admin endpoint, or inherits it in an upgrade.
func (m *monitor) openEndpoint(o options.Options, before *upgrade.Carried, log zerolog.Logger) (err error) {
	secret, err := adminToken(string(o.AdminTokenFile))
	if err != nil {
		return err // without the token everybody would have access
	}
	m.token.Store(&secret)
	switch {
	case before != nil && before.Admin > 0:
		m.endpoint, err = admin.Inherit(before.Admin)
	case o.Admin != "":
		m.endpoint, err = admin.Listen(address.Address(o.Admin))
	default:
		return nil
	}
	if err != nil {
		return err
	}
	m.server = admin.New(admin.Config{Source: m.Observer, Log: func(line string) { log.Warn().Msg(line) }, Token: func() token.Token { return *m.token.Load() }})
	m.server.Serve(m.endpoint)
	m.Start()
	return nil
}

// descriptor returns the descriptor of the admin endpoint, 0 if there is none.
func (m *monitor) descriptor() int {
	if m.endpoint == nil {
		return 0
	}
	fd, _ := m.endpoint.Descriptor() // 0 after an error: the new binary opens it again
	return fd
}

// attach connects the monitor and the admin endpoint to a pool.
func (m *monitor) attach(pool *supervise.Config) {
	pool.Rows, pool.Controller = m, m.Controller
	if m.server == nil {
		return
	}
	pool.SuspendRequests = func(done func()) {
		m.suspending.Go(func() {
			_ = m.server.Suspend(suspendTime) // remaining connections are closed by the upgrade
			done()
		})
	}
	pool.ResumeRequests = m.server.Resume
}

// suspendTime is the timeout of requests under way at the admin endpoint before an
// upgrade.
const suspendTime = 3 * time.Second

// close closes the admin endpoint and the access log.
func (m *monitor) close() {
	m.suspending.Wait()
	m.readmes.close()
	m.helper.Suspend()
	if m.server != nil {
		_ = m.server.Close() // the process is exiting
		m.End()
	}
	m.Log.Close()
}

// help returns the function that passes jobs of workers to the helper; nil: they have none.
func (m *monitor) help(o options.Options) func(int, ipc.Job, *os.File) {
	if !o.Caches() {
		return nil
	}
	return m.helper.Give
}

// helps returns the status of the helper; nil: workers have no jobs for it.
func (m *monitor) helps() *status.Helper {
	if !m.used.Load().Caches() {
		return nil
	}
	return m.helper.Status()
}

// leave returns a function that suspends the log, the rendering of READMEs and the helper for
// an upgrade.
func (m *monitor) leave(lines func() ([]byte, int, func())) func() ([]byte, int, func()) {
	return func() (unwritten []byte, dropped int, resume func()) {
		m.readmes.suspend()
		m.helper.Suspend()
		unwritten, dropped, more := lines()
		return unwritten, dropped, func() { more(); m.helper.Resume(); m.readmes.resume() }
	}
}

// use makes these options those in force. A helper of another user, or with another sandbox, ends:
// the next job starts one with these.
func (m *monitor) use(o options.Options) {
	before := m.used.Swap(&o)
	if before != nil && (before.Identity != o.Identity || before.Confine != o.Confine) {
		m.renewHelper()
	}
}

// renewHelper ends the helper; the next job starts another one.
func (m *monitor) renewHelper() {
	m.helper.Suspend()
	m.helper.Resume()
}

// replaced reports whether the cache directory has been removed or replaced since the last helper
// was started.
func (m *monitor) replaced(o options.Options) bool {
	before := m.cache.Load()
	if before == nil || !o.Caches() {
		return false
	}
	now, err := os.Stat(string(o.CacheDir))
	return err != nil || !os.SameFile(*before, now)
}

// describe updates the description of the pool in snapshots.
func (m *monitor) describe(o options.Options) {
	m.use(o)
	base := ""
	if o.Default() {
		base = string(o.Base)
	}
	m.info.Store(&snapshot.Info{
		Version: options.Version, Base: base, Model: string(o.Model),
		Address: m.where, Sites: siteList(o, base),
	})
	m.Board.Configure(o.SiteNames())
}

// siteList returns the sites by number; nil if there is only one.
func siteList(o options.Options, base string) (all []snapshot.Site) {
	for number, name := range o.SiteNames() {
		if number > 0 {
			base = string(o.Site[number-1].Dir)
		}
		all = append(all, snapshot.Site{Name: name, Base: base})
	}
	return all
}

// named wraps args: before a worker is started with these options, it stores the names of
// their sites in the scoreboard.
func (m *monitor) named(o options.Options, args func(slot, row int, kept bool) []string) func(slot, row int, kept bool) []string {
	sites := o.SiteNames()
	return func(slot, row int, kept bool) []string {
		m.Board.SetSites(row, sites)
		return args(slot, row, kept)
	}
}

// A row has room for all sites and for other hosts.
const _ = uint(scoreboard.MaxSites - 1 - options.MaxSites)

// where formats addresses, the one of --port and --bind as HOST:PORT.
func where(addresses []listen.Address) string {
	if a := addresses[0]; a.Short {
		return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
	}
	return written(addresses)
}

// check returns why new options cannot be applied.
func (m *monitor) check(o options.Options) error {
	_, err := adminToken(string(o.AdminTokenFile))
	return errors.Join(err, checkCache(o), m.Log.Try(string(o.AccessLog)))
}

// apply applies new options after a reload.
func (m *monitor) apply(o options.Options) {
	m.describe(o)
	if err := m.Log.Use(string(o.AccessLog)); err != nil {
		m.alert(err.Error() + "; keeping the current access log")
	}
	secret, err := adminToken(string(o.AdminTokenFile))
	if err != nil {
		m.alert(err.Error() + "; keeping the current token")
		return
	}
	m.token.Store(&secret)
	warn(o, m.alert)
}

// check does the checks of --check that settings has not done, and prints the result.
func check(o options.Options, stdout *os.File) error {
	_, noToken := adminToken(string(o.AdminTokenFile))
	warning, uncertified := checkCertificates(o)
	err := cmp.Or(checkLog(o, stdout), noToken, uncertified, checkAuthority(o), listen.Check(o.Addresses()))
	if err == nil && o.Admin != "" {
		err = admin.Check(address.Address(o.Admin))
	}
	if err != nil {
		return err
	}
	if err := o.CheckHTTPS(listen.AnySecure(o.Addresses())); err != nil {
		warning = err.Error() + ", unless systemd passes a socket for HTTPS"
	}
	if warning != "" {
		warning = "; but " + warning
	}
	_, err = fmt.Fprintf(stdout, "the options are valid; %s%s\n", served(o), warning)
	return err
}

// served describes the document roots.
func served(o options.Options) string {
	root := "the document root is " + human.Quoted(string(o.Base))
	switch n := len(o.Site); {
	case !o.Default():
		return "the hosts of --site have " + human.Plural(n, "document root", "document roots")
	case n > 0:
		return fmt.Sprintf("%s, and the hosts of --site have %d more", root, n)
	default:
		return root
	}
}

// checkLog returns an error if the access log cannot be opened.
func checkLog(o options.Options, stdout *os.File) error {
	if o.AccessLog == "" {
		return nil
	}
	return logError(accesslog.Try(string(o.AccessLog), stdout))
}

func logError(err error) error {
	if err == nil {
		return nil
	}
	cure := "fix that"
	if errors.Is(err, fs.ErrNotExist) {
		cure = "create it"
	}
	return exitcode.New(exitcode.Config, err.Error()+"; "+cure+", or choose another --access-log", err)
}
