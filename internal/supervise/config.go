package supervise

import (
	"context"
	"math/rand/v2"
	"os"
	"time"

	"github.com/rs/zerolog"
)

// Config is what a pool needs. Signals, Spawn and Version are required.
type Config struct {
	Settings
	Version    string           // version that each worker must have
	Signals    <-chan os.Signal // INT, TERM, HUP, TTIN, TTOU, USR1, USR2; see signals.go
	ChildExits <-chan os.Signal // CHLD, for a process that inherits orphans; else nil

	// Check makes the master's new program check the settings before an upgrade. It runs in a
	// goroutine of its own until ctx ends; nil: no check.
	Check func(ctx context.Context) error
	// Exec executes the master's new program in place, and returns only if that failed, with
	// [ErrBusy] if a signal has arrived; nil: upgrades are not possible.
	Exec func(State) error
	// NotUpgradable says why there is no Exec; "": the path of the program is unknown.
	NotUpgradable string
	// SuspendRequests ends the requests to the Controller before Exec, and calls done once
	// they have ended, from any goroutine; ResumeRequests allows them again. nil: there are none.
	SuspendRequests func(done func())
	ResumeRequests  func()
	// Resume is the pool of the previous program; nil: there was none.
	Resume   *State
	Reattach func(slot int, h Handle) (Process, error) // [Spawner.Reattach]; required with Resume

	// Reload reads and checks the settings again; nil: only the worker binary can change.
	Reload func() (Settings, error)
	// HungUp reports whether a HUP means that the terminal is gone, which starts a drain; nil:
	// it never does.
	HungUp  func() bool
	Sockets Sockets // nil: the number of slots is fixed
	// Credentials returns a file for [ipc.Credentials], which the caller closes, and its ID;
	// nil: workers need none. Each worker gets it when it starts, and again when
	// CredentialsChanged receives a value. OnCredentials, if not nil, is called with an ID
	// when all workers that accept connections use the credentials with this ID or later ones.
	Credentials        func() (file *os.File, id uint32, err error)
	CredentialsChanged <-chan struct{}
	OnCredentials      func(id uint32)
	// Queue returns the length of the accept queue of a slot's socket, and its limit; nil:
	// unknown.
	Queue      func(slot int) (waiting, most int)
	Rows       Rows        // rows of the scoreboard; nil: workers do not count
	Controller *Controller // for queries and orders from other goroutines

	LameDuck     time.Duration // how long the pool keeps serving after the first INT or TERM
	DrainTimeout time.Duration // time limit of a worker's drain; 0: none
	HangTimeout  time.Duration // time without a heartbeat after which a worker counts as hung; 0: none

	// None of the functions from here to Alert is nil, but OnAlive may be if AliveEvery is 0.
	OnServing  func(workers int) // called once, when all workers serve
	OnLameDuck func()            // called once, when the lame duck period begins
	// OnReload is called when a requested reload begins, and when it has ended; failed is
	// then why it has failed, in one line, or "".
	OnReload func(begun bool, failed string)
	// OnAlive is called from the loop every AliveEvery, as long as the loop runs; AliveEvery 0:
	// never.
	OnAlive    func()
	AliveEvery time.Duration
	// OnProgress is called every second of a drain that takes longer than a second, with what
	// the workers still have to do. It reports whether it has shown the progress to a user;
	// otherwise the progress is logged, at growing intervals.
	OnProgress func([]Progress) (shown bool)
	OnReopen   func() // called for each USR1: log files may have been renamed
	OnDrain    func() // called once, before the drain
	// OnQueuesEmpty is called once during the drain, when no connection waits for a worker any
	// more: the listening sockets are no longer needed.
	OnQueuesEmpty func()
	Alert         func(line string) // reports what an operator must know in silent mode too
	Log           zerolog.Logger
	// Deaths logs deaths with fields, in place of Alert; nil: Alert gets them.
	Deaths *zerolog.Logger

	Now      func() time.Time                     // time.Now
	After    func(time.Duration) <-chan time.Time // time.After
	Reap     func(ours func(pid int) bool) error  // [Reap]
	Chance   func() float64                       // rand.Float64
	OOMKills func() int                           // [OOMKills]
}

// Settings are what a reload can change.
type Settings struct {
	// Spawn starts the process of a slot. The process counts in a row of Rows; -1: in none.
	Spawn   func(slot, row int) (Process, error)
	Worker  string // path of the worker binary, for errors
	Applied func() // called once the settings of a reload are in force, if not nil
	Slots   int    // configured number of workers
	Shares  bool   // workers are told how many slots share the limits of the pool
}

// Sockets are the slots' listening sockets.
type Sockets interface {
	Grow() (slot int, err error) // opens the sockets of one more slot
	Shrink() error               // closes those of the last slot, which no worker has open any more
	Steer(slots []int) error     // directs new connections to these slots only
}

func (p *pool) defaults() {
	alert := p.Alert
	p.Alert = func(line string) {
		p.lastAlert = line
		alert(line)
	}
	if p.Controller == nil {
		p.Controller = NewController()
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.After == nil {
		p.After = time.After
	}
	if p.Reap == nil {
		p.Reap = Reap
	}
	if p.Chance == nil {
		p.Chance = rand.Float64
	}
	if p.OOMKills == nil {
		p.OOMKills = OOMKills
	}
}
