package supervise

import (
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"phalanx/internal/ipc"
)

// A worker that dies while the settings of a reload are being read does not end that reload.
func TestDeathWhileSettingsAreRead(t *testing.T) {
	for name, start := range map[string]func(r *rig){
		"of the reload before": func(r *rig) { r.signal(syscall.SIGHUP) },
		"of a dead worker's slot": func(r *rig) {
			r.signal(syscall.SIGHUP)
			r.die(0, Exit{Code: 1}) // the replacement gets its slot
		},
		"of a recycled worker": func(r *rig) { r.send(ipc.Recycle{Reason: "test"}, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			var gate atomic.Pointer[chan struct{}]
			r := &rig{}
			_, d := r.controller(func(c *Config) {
				settings := c.Settings
				c.Reload = func() (Settings, error) {
					if g := gate.Load(); g != nil {
						<-*g
					}
					return settings, nil
				}
			})
			runRig(t, 1, r, func(r *rig) {
				r.hello(0)
				start(r)
				closed := make(chan struct{})
				gate.Store(&closed)
				answer := asked((*d).Reload)
				r.die(1, Exit{Code: 1})
				pending(t, answer)
				if _, v := r.look(*d); v.Failed != "" {
					t.Errorf("the failed reload is %q, want none", v.Failed)
				}
				close(closed)
				synctest.Wait()
				for i := 2; len(answer) == 0 && i < 5; i++ {
					r.started(i)
					r.hello(i)
				}
				answered(t, answer, true, "1 worker replaced")
				r.stop()
			})
		})
	}
}
