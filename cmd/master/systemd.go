package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/listen"
	"phalanx/internal/supervise"
)

// notify sends a state with descriptors to systemd (sd_notify(3)). Without systemd it does
// nothing. Errors are ignored.
func notify(state string, files ...int) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	// A systemd that does not read must not block the pool's loop.
	limit := unix.NsecToTimeval(int64(notifyTime))
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit) == nil {
		_ = unix.Sendmsg(fd, []byte(state), rights, &unix.SockaddrUnix{Name: name}, unix.MSG_NOSIGNAL)
	}
}

// notifyTime is the longest wait for space in systemd's queue.
const notifyTime = 50 * time.Millisecond

// notifySystemd makes a pool report its state to systemd, and ping its watchdog.
func notifySystemd(cfg *supervise.Config, sockets *listen.Set) {
	serving, drain := cfg.OnServing, cfg.OnDrain
	cfg.OnServing = func(workers int) { serving(workers); store(sockets); notify(daemon.SdNotifyReady) }
	cfg.OnDrain = func() { notify(daemon.SdNotifyStopping + "\nSTATUS=draining"); drain() }
	cfg.OnLameDuck = func() { notify("STATUS=lame duck started") }
	cfg.OnReload = func(begun bool, failed string) {
		switch {
		case begun:
			notify(reloadingNow())
		case failed != "": // systemd knows no failed reload, but shows the status
			notify(daemon.SdNotifyReady + "\nSTATUS=reload failed: " + strings.TrimPrefix(failed, "reload: "))
		default:
			notify(daemon.SdNotifyReady + "\nSTATUS=serving")
		}
	}
	// Half of the watchdog's timeout, as systemd recommends.
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		cfg.AliveEvery = limit / 2
		cfg.OnAlive = func() { notify(daemon.SdNotifyWatchdog) }
	}
}

// systemdSockets returns the listening sockets from systemd: passed by socket activation
// (sd_listen_fds(3)), and kept in its descriptor store by an earlier server. Passed ones with
// FileDescriptorName=https use TLS.
func systemdSockets() (passed []listen.Passed, kept []listen.Kept, err error) {
	for _, f := range activation.Files(true) {
		// Duplicate it: the file closes its descriptor, at the latest in its finalizer. It does so
		// now, because a socket that is to be forgotten would occupy its port until then.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		f.Close()
		switch {
		case err != nil:
			return nil, nil, exitcode.New(exitcode.Failure, "LISTEN_FDS: "+err.Error(), err)
		case listen.IsKept(f.Name()):
			kept = append(kept, listen.Kept{FD: fd, Name: f.Name()})
		default:
			passed = append(passed, listen.Passed{FD: fd, Secure: f.Name() == "https"})
		}
	}
	if len(passed) > listen.Max {
		return nil, nil, exitcode.New(exitcode.Config, fmt.Sprintf("LISTEN_FDS: %d sockets passed; the limit is %d", len(passed), listen.Max), nil)
	}
	return passed, kept, nil
}

// store puts the listening sockets into systemd's descriptor store, as many as
// FileDescriptorStoreMax= allows. If the master is killed, the next one gets them, and no
// client is refused in the meantime.
func store(sockets *listen.Set) {
	for _, k := range sockets.Kept() {
		notify("FDSTORE=1\nFDNAME="+k.Name, k.FD)
	}
}

// forget removes sockets from systemd's descriptor store and waits for that
// (sd_notify_barrier(3)).
func forget(kept []listen.Kept) {
	unstore(kept)
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	notify("BARRIER=1", int(w.Fd()))
	w.Close()
	if r.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = r.Read(make([]byte, 1)) // end-of-file once systemd has closed its copy
	}
}

func unstore(kept []listen.Kept) {
	for _, k := range kept {
		notify("FDSTOREREMOVE=1\nFDNAME=" + k.Name)
	}
}

// storing is a set that updates systemd's descriptor store when it grows or shrinks.
type storing struct{ *listen.Set }

func (s storing) Grow() (slot int, err error) {
	slot, err = s.Set.Grow()
	store(s.Set)
	return slot, err
}

func (s storing) Shrink() error {
	unstore(s.Kept()) // they are renumbered
	err := s.Set.Shrink()
	store(s.Set)
	return err
}

// reloadingNow returns the notification of a reload, with the required timestamp.
func reloadingNow() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/int64(time.Microsecond))
}
