package main

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/supervise"
)

// notify tells systemd, if that started the master, what becomes of the pool
// (sd_notify(3)); without systemd it is silent. What cannot be said is no reason
// to stop serving.
func notify(state string) {
	_, _ = daemon.SdNotify(false, state)
}

// notifySystemd tells systemd what becomes of a pool, and feeds its watchdog.
func notifySystemd(cfg *supervise.Config) {
	serving, drain := cfg.OnServing, cfg.OnDrain
	cfg.OnServing = func() { serving(); notify(daemon.SdNotifyReady) }
	cfg.OnDrain = func() { notify(daemon.SdNotifyStopping); drain() }
	cfg.OnLameDuck = func() { notify("STATUS=lame duck started") }
	cfg.OnReload = func(begun bool) {
		if begun {
			notify(reloadingNow())
		} else {
			notify(daemon.SdNotifyReady)
		}
	}
	// Half of the time after which systemd takes it for hung, as it advises.
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		cfg.AliveEvery = limit / 2
		cfg.OnAlive = func() { notify(daemon.SdNotifyWatchdog) }
	}
}

// systemdSocket returns the descriptor of the listening socket that systemd has passed
// on (sd_listen_fds(3)), 0 if there is none.
func systemdSocket() (int, error) {
	switch files := activation.Files(true); len(files) {
	case 0:
		return 0, nil
	case 1:
		// Its finalizer would close the descriptor, which is the set's.
		return unix.FcntlInt(files[0].Fd(), unix.F_DUPFD_CLOEXEC, 3)
	default:
		return 0, exitcode.New(exitcode.Config, fmt.Sprintf("LISTEN_FDS: %d sockets passed; only one is supported", len(files)), nil)
	}
}

// reloadingNow is the message that a reload has begun, which has to say when.
func reloadingNow() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/int64(time.Microsecond))
}
