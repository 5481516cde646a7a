package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// floodKey makes the test binary a worker that ends again and again while signals
// pour in.
const floodKey = "WORKER_TEST_FLOOD"

func TestMain(m *testing.M) {
	if os.Getenv(floodKey) == "" {
		os.Exit(m.Run())
	}
	signals, mute := stopSignals()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				syscall.Kill(os.Getpid(), syscall.SIGINT)
			}
		}
	}()
	for begin := time.Now(); time.Since(begin) < time.Second; signals, mute = stopSignals() {
		<-signals
		mute()
		if _, open := <-signals; open {
			panic("a signal after mute")
		}
	}
	close(stop)
	<-ended
}

// A signal that comes when the worker is done must not kill it, for that would
// look like a death, at no moment of its end.
func TestSignalsAtTheEnd(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), floodKey+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
