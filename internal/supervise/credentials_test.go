package supervise

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"phalanx/internal/ipc"
)

// certified returns a rig whose workers need credentials; changed tells the pool that there
// are new ones.
func certified(err error) (r *rig, changed func()) {
	var news chan struct{}
	r = &rig{change: func(c *Config) {
		news = make(chan struct{}) // of the test's bubble
		c.CredentialsChanged = news
		c.Credentials = func() (*os.File, uint32, error) {
			if err != nil {
				return nil, 0, err
			}
			file, err := ipc.Sealed("test", []byte("secret"))
			return file, 0, err
		}
	}}
	return r, func() {
		news <- struct{}{}
		synctest.Wait()
	}
}

// Each worker gets credentials as its first message, however it came to be started, and new
// ones while it serves.
func TestCredentials(t *testing.T) {
	r, changed := certified(nil)
	r.tweak = busy
	runRig(t, 2, r, func(r *rig) {
		r.told(0, ipc.Credentials{})
		r.told(1, ipc.Credentials{})
		r.movable(0, 1)
		r.hello(0, 1)
		r.told(0, ipc.Credentials{}, ipc.Serve{})
		r.send(ipc.CredentialsRefused{Reason: "damaged\ncredentials"}, 1)
		r.expect(2, "serving", "worker 1 (pid 102): certificates refused: damaged; credentials; the current ones stay in use")
		changed()
		r.told(0, ipc.Credentials{}, ipc.Serve{}, ipc.Credentials{})
		r.told(1, ipc.Credentials{}, ipc.Serve{}, ipc.Credentials{})
		r.die(1, Exit{Signal: syscall.SIGSEGV}) // respawned
		r.told(2, ipc.Credentials{})
		r.hello(2)
		r.signal(syscall.SIGHUP)
		r.told(3, ipc.Credentials{})
		changed() // during a reload
		r.told(3, ipc.Credentials{}, ipc.Credentials{})
		r.movable(3)
		r.hello(3)
		r.told(3, ipc.Credentials{}, ipc.Credentials{}, ipc.Serve{}, ipc.TakeOver{})
		sent := len(r.procs[0].sent)
		changed()
		if len(r.procs[0].sent) != sent {
			t.Errorf("a draining worker was sent %v, want nothing", r.procs[0].sent[sent:])
		}
		r.stop()
	})
}

// A worker that refuses its credentials makes the start fail, with its reason.
func TestCredentialsRefused(t *testing.T) {
	r, _ := certified(nil)
	runRig(t, 1, r, func(r *rig) {
		r.send(ipc.Failed{ExitCode: 1, Reason: "damaged credentials"}, 0)
		r.die(0, Exit{Code: 1})
		r.ends(1, "damaged credentials")
	})
}

// If there are no credentials for a worker, the start fails, with the reason.
func TestNoCredentials(t *testing.T) {
	r, _ := certified(errors.New("pass certificates to a worker: too many open files"))
	runRig(t, 1, r, func(r *rig) {
		r.signalled(0, syscall.SIGKILL)
		synctest.Wait()
		err := <-r.done
		if err == nil || !strings.Contains(err.Error(), "too many open files") {
			t.Errorf("the pool ended with %v, want too many open files", err)
		}
	})
}

// If credentials cannot be sent for the moment, no worker is killed for it, and they are
// sent later, also to a worker that was started meanwhile.
func TestCredentialsAreSentLater(t *testing.T) {
	r, changed := certified(nil)
	var failing atomic.Bool
	change := r.change
	r.change = func(c *Config) {
		change(c)
		credentials := c.Credentials
		c.Credentials = func() (*os.File, uint32, error) {
			if failing.Load() {
				return nil, 0, errors.New("pass certificates to a worker: too many open files")
			}
			return credentials()
		}
	}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		failing.Store(true)
		changed()
		r.die(1, Exit{Signal: syscall.SIGSEGV})
		r.pass(3 * resendTime)
		r.told(0, ipc.Credentials{}, ipc.Serve{})
		r.told(2)
		alerts := 0
		for _, line := range r.reported {
			if strings.HasSuffix(line, "too many open files; trying again until it can be done") {
				alerts++
			}
		}
		if alerts != 1 {
			t.Errorf("%d alerts, want one: %q", alerts, r.reported)
		}
		failing.Store(false)
		r.pass(resendTime)
		r.told(0, ipc.Credentials{}, ipc.Serve{}, ipc.Credentials{})
		r.told(2, ipc.Credentials{})
		r.pass(2 * resendTime)
		r.told(2, ipc.Credentials{})
		for _, p := range []int{0, 2} {
			r.signalled(p)
		}
		r.hello(2)
		r.stop()
	})
}

// If the kernel lets no descriptor through to some workers for the moment, they are not killed either.
func TestNoRoomForCredentials(t *testing.T) {
	r, changed := certified(nil)
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		r.procs[1].noRights = true
		changed()
		r.pass(3 * resendTime)
		r.signalled(1)
		r.expect(2, "serving", "pass certificates to a worker: too many references: cannot splice; trying again until it can be done")
		r.procs[1].noRights = false
		r.pass(resendTime)
		r.told(1, ipc.Credentials{}, ipc.Serve{}, ipc.Credentials{})
		r.stop()
	})
}

// Credentials are confirmed when all workers that accept connections use them.
func TestCredentialsUsed(t *testing.T) {
	r, changed := certified(nil)
	id, confirmed := uint32(0), uint32(0)
	change := r.change
	r.change = func(c *Config) {
		change(c)
		c.Credentials = func() (*os.File, uint32, error) {
			file, err := ipc.Sealed("test", nil)
			return file, id, err
		}
		c.OnCredentials = func(id uint32) { confirmed = id }
	}
	check := func(what string, want uint32) {
		t.Helper()
		synctest.Wait()
		if confirmed != want {
			t.Errorf("%s: confirmed %d, want %d", what, confirmed, want)
		}
	}
	runRig(t, 2, r, func(r *rig) {
		r.hello(0, 1)
		id = 1
		changed()
		check("sent", 0)
		r.send(ipc.CredentialsUsed{ID: 1}, 0)
		check("used by one of two", 0)
		r.send(ipc.CredentialsUsed{ID: 1}, 1)
		check("used by both", 1)
		id = 3
		changed()
		r.send(ipc.CredentialsUsed{ID: 3}, 0)
		check("used by one of two", 1)
		r.die(1, Exit{Signal: syscall.SIGSEGV})
		check("the other died", 3)
		r.stop()
	})
}
