package main

import (
	"errors"
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
	"phalanx/internal/observe/admin"
	"phalanx/internal/observe/snapshot"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// sight is what lets somebody see inside the pool, and what goes through an
// upgrade of it.
type sight struct {
	*snapshot.Observer
	board *os.File
	bell  *os.File
	port  int
	alert func(string)
	info  atomic.Pointer[snapshot.Info]

	endpoint net.Listener // nil: there is no admin endpoint
	server   *admin.Server
	quieting sync.WaitGroup
}

// newSight makes it, or goes on with that of the program before. Then there are
// workers who serve, and nothing that is only for seeing inside may end them:
// what cannot be had is told.
func newSight(o options.Options, before *upgrade.Carried, port int, stdout *os.File, log zerolog.Logger, alert func(string)) (*sight, error) {
	board, err := before.Scoreboard()
	if err != nil {
		return nil, err
	}
	bell, lost, err := doorbell(before)
	if err != nil {
		return nil, err
	}
	s := &sight{
		board: os.NewFile(uintptr(board.Descriptor()), "scoreboard"), bell: os.NewFile(uintptr(bell), "doorbell"),
		port: port, alert: alert,
	}
	lines := snapshot.NewLog(stdout, bell, lost, alert)
	s.Observer, err = snapshot.New(snapshot.Config{
		Board: board, Desk: supervise.NewDesk(), Log: lines, Started: started(before),
		Info: func() snapshot.Info { return *s.info.Load() },
	})
	if err != nil {
		return nil, err
	}
	s.tell(o)
	err = lines.Use(string(o.AccessLog))
	if err != nil {
		err = exitcode.New(exitcode.Config, err.Error()+"; make it possible, or name another --access-log", err)
	}
	if err == nil || before != nil {
		err = errors.Join(err, s.open(o, before, log))
	}
	if err != nil && before != nil {
		alert(strings.ReplaceAll(err.Error(), "\n", "; ") + "; serving goes on without")
		err = nil
	}
	return s, err
}

// started is when the first program of this process was.
func started(before *upgrade.Carried) time.Time {
	if before != nil && !before.Started.IsZero() {
		return before.Started
	}
	return time.Now()
}

// doorbell is that of the access log, and how many lines that has lost so far.
func doorbell(before *upgrade.Carried) (fd int, lost uint64, err error) {
	if before != nil && before.Bell > 0 {
		unix.CloseOnExec(before.Bell)
		return before.Bell, before.Lost, nil
	}
	fd, err = accesslog.NewDoorbell()
	return fd, 0, err
}

// open opens the admin endpoint, or goes on with that of the program before.
func (s *sight) open(o options.Options, before *upgrade.Carried, log zerolog.Logger) (err error) {
	switch {
	case before != nil && before.Admin > 0:
		s.endpoint, err = admin.Inherit(before.Admin)
	case o.Admin != "":
		s.endpoint, err = admin.Listen(string(o.Admin))
	default:
		return nil
	}
	if err != nil {
		return err
	}
	s.server = admin.New(admin.Config{Source: s.Observer, Log: func(line string) { log.Warn().Msg(line) }})
	s.server.Serve(s.endpoint)
	s.Start()
	return nil
}

// descriptor is that of the admin endpoint, 0 if there is none.
func (s *sight) descriptor() int {
	if s.endpoint == nil {
		return 0
	}
	fd, err := admin.Descriptor(s.endpoint)
	if err != nil {
		return 0 // the next program opens it anew
	}
	return fd
}

// watch lets a pool be seen.
func (s *sight) watch(pool *supervise.Config) {
	pool.Rows, pool.Desk = s, s.Desk
	if s.server == nil {
		return
	}
	pool.Quiet = func(done func()) {
		s.quieting.Go(func() {
			_ = s.server.Suspend(quietTime) // what takes longer is cut by the new program
			done()
		})
	}
	pool.Loud = s.server.Resume
}

// quietTime is how long who looks at the pool may take before an upgrade.
const quietTime = 3 * time.Second

// close ends it all.
func (s *sight) close() {
	s.quieting.Wait()
	if s.server != nil {
		_ = s.server.Close() // nobody is left to be told
		s.End()
	}
	s.Log.Close()
}

// tell notes what is served where.
func (s *sight) tell(o options.Options) {
	s.info.Store(&snapshot.Info{
		Version: options.Version, Base: string(o.Base), Model: string(o.Model),
		Address: net.JoinHostPort(string(o.Bind), strconv.Itoa(s.port)),
	})
}

// try says whether new settings can be followed.
func (s *sight) try(o options.Options) error { return s.Log.Try(string(o.AccessLog)) }

// heed follows them, now that workers serve with them.
func (s *sight) heed(o options.Options) {
	s.tell(o)
	if err := s.Log.Use(string(o.AccessLog)); err != nil {
		s.alert(err.Error() + "; keeping the current access log")
	}
}
