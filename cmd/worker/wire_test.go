package main

import (
	"os/signal"
	"syscall"
	"testing"
)

// A signal that comes when the worker is done must not kill it, for that would
// look like a death.
func TestMute(t *testing.T) {
	defer signal.Reset(syscall.SIGINT, syscall.SIGTERM)
	signals, mute := stopSignals()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if sig := <-signals; sig != syscall.SIGTERM {
		t.Errorf("the signal is %v", sig)
	}
	mute()
	if _, open := <-signals; open {
		t.Error("another signal came")
	}
	if !signal.Ignored(syscall.SIGINT) || !signal.Ignored(syscall.SIGTERM) {
		t.Error("a signal would still kill it")
	}
}
