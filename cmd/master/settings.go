package main

import (
	"fmt"
	"os"
	"runtime"

	"phalanx/internal/options"
	"phalanx/internal/supervise"
)

// settings reads what the user asked for, and checks what can be checked before
// anything is started.
func settings(args []string) (o options.Options, worker string, err error) {
	if o, err = options.ParseMaster(args, os.Getenv); err != nil {
		return o, "", err
	}
	if o.Base, err = options.CheckBase(o.Base); err != nil {
		return o, "", err
	}
	worker, err = findWorker(o.Worker)
	return o, worker, err
}

// reloaded reads the settings again, for workers that are to replace those of
// the settings before.
func reloaded(args []string, before options.Options, spawner supervise.Spawner) (supervise.Settings, error) {
	o, worker, err := settings(args)
	if err != nil {
		return supervise.Settings{}, err
	}
	if name := options.NeedsRestart(before, o); name != "" {
		return supervise.Settings{}, fmt.Errorf("--%s has changed, which needs a restart", name)
	}
	spawner.Path, spawner.Args, spawner.Env = worker, o.WorkerArgs, environment(o)
	return supervise.Settings{Spawn: spawner.Spawn, Worker: worker, Slots: o.Slots(runtime.GOMAXPROCS(0))}, nil
}
