package supervise

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
)

// A problem of the sandbox that all workers share is reported once; each has its own state.
func TestConfined(t *testing.T) {
	r := &rig{}
	_, d := r.controller(nil)
	runRig(t, 2, r, func(r *rig) {
		r.send(ipc.Confined{Sandboxed: true, Missing: "no\nLandlock", Unreadable: true}, 0)
		r.send(ipc.Confined{Sandboxed: true, Unreadable: true}, 1)
		r.hello(0, 1)
		const alert = "workers cannot read the document root as the user that they run as; let everybody read it (chmod -R o+rX), or choose another with --user"
		r.expect(2, alert, "serving")
		_, v := r.look(*d)
		for i, want := range []string{status.SandboxPartial + `no\x0aLandlock`, status.SandboxFull} {
			if got := v.Workers[i].Sandbox; got != want {
				t.Errorf("worker %d: sandbox state %q, want %q", i, got, want)
			}
		}
		r.signal(syscall.SIGTERM)
		r.die(0, Exit{})
		r.die(1, Exit{})
		r.pass(time.Second)
	})
}

// The kernel's log names the system call for which a process was killed.
func TestLoggedCall(t *testing.T) {
	const text = `4,1060,12548379099,-;audit: type=1326 audit(1795909441.660:1060): auid=4294967295 uid=65534 pid=6628 comm="worker" sig=31 arch=c000003e syscall=56 compat=0 ip=0x48b472 code=0x80000000
`
	log := filepath.Join(t.TempDir(), "kmsg")
	if err := os.WriteFile(log, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]int{6628: 56, 662: 0, 66280: 0} {
		if got, ok := loggedCall(log, pid); got != want || ok != (want != 0) {
			t.Errorf("process %d: call %d, found %v; want %d", pid, got, ok, want)
		}
	}
	if got, ok := loggedCall(log+".gone", 6628); ok {
		t.Errorf("found call %d without a log", got)
	}
}
