package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/listen"
	"phalanx/internal/supervise"
)

// notify reports the state of the pool to systemd (sd_notify(3)); without systemd it
// does nothing. Errors are ignored.
func notify(state string) {
	socket := &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"}
	if socket.Name == "" {
		return
	}
	conn, err := net.DialUnix(socket.Net, nil, socket)
	if err != nil {
		return
	}
	defer conn.Close()
	// The pool's loop calls this, and a systemd that does not read must not stop it.
	if conn.SetWriteDeadline(time.Now().Add(notifyTime)) == nil {
		_, _ = conn.Write([]byte(state))
	}
}

// notifyTime bounds how long a full queue of systemd's is waited for.
const notifyTime = 50 * time.Millisecond

// notifySystemd reports the state of a pool to systemd, and its watchdog's keep-alive.
func notifySystemd(cfg *supervise.Config) {
	serving, drain := cfg.OnServing, cfg.OnDrain
	cfg.OnServing = func(workers int) { serving(workers); notify(daemon.SdNotifyReady) }
	cfg.OnDrain = func() { notify(daemon.SdNotifyStopping); drain() }
	cfg.OnLameDuck = func() { notify("STATUS=lame duck started") }
	cfg.OnReload = func(begun bool) {
		if begun {
			notify(reloadingNow())
		} else {
			notify(daemon.SdNotifyReady)
		}
	}
	// Half of the watchdog's timeout, as systemd recommends.
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		cfg.AliveEvery = limit / 2
		cfg.OnAlive = func() { notify(daemon.SdNotifyWatchdog) }
	}
}

// systemdSockets returns the listening sockets from systemd's socket activation
// (sd_listen_fds(3)). One whose FileDescriptorName= is https is for TLS.
func systemdSockets() ([]listen.Passed, error) {
	files := activation.Files(true)
	if len(files) > listen.Max {
		return nil, exitcode.New(exitcode.Config, fmt.Sprintf("LISTEN_FDS: %d sockets passed; %d are possible", len(files), listen.Max), nil)
	}
	var all []listen.Passed
	for _, f := range files {
		// A copy: the finalizer of the file would close the descriptor.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, exitcode.New(exitcode.Failure, "LISTEN_FDS: "+err.Error(), err)
		}
		all = append(all, listen.Passed{FD: fd, Secure: f.Name() == "https"})
	}
	return all, nil
}

// reloadingNow is the notification that a reload has begun, with the required
// timestamp.
func reloadingNow() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/int64(time.Microsecond))
}
