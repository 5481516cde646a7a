package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/term"

	"phalanx/tools/internal/campaign"
	"phalanx/tools/internal/machine"
	"phalanx/tools/internal/measure"
	"phalanx/tools/internal/plan"
	"phalanx/tools/internal/proctree"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
)

// measureAll starts a run of the given kind, or resumes one, and writes the
// report.
func measureAll(ctx context.Context, kind record.Kind, s scope, stderr *os.File) error {
	found := find(kind, s.Bin)
	for name, why := range found.missing {
		if kind == record.Models || kind == record.Costs {
			return fmt.Errorf("%s", why)
		}
		fmt.Fprintf(stderr, "bench: skipping %s: %s\n", name, why)
	}
	axes, times := plan.Models(found.names, s.plan()), plan.ModelTimes(s.Seconds)
	if kind == record.Faults {
		axes, times = plan.Faults(found.names, s.plan()), plan.PeerTimes(s.Seconds)
	}
	if kind == record.Costs {
		axes, times = plan.Costs(found.names, s.plan()), plan.PeerTimes(s.Seconds)
	}
	if kind == record.Peers {
		axes, times = plan.Peers(found.names, s.plan()), plan.PeerTimes(s.Seconds)
	}
	cells := plan.Cells(axes)
	if len(cells) == 0 {
		return fmt.Errorf("nothing to measure: no experiment or server matches the options")
	}
	head, err := describe(kind, s, found, cells)
	if err != nil {
		return err
	}
	scratch, err := prepare(s.Base)
	if err != nil {
		return err
	}
	defer scratch.remove()
	if err := scratch.huge(ctx, cells); err != nil {
		return err
	}
	results := s.Results
	if !s.whole() {
		results = filepath.Join(results, "quick")
	}
	store, resumed, err := record.Open(filepath.Join(results, "raw"), head)
	if err != nil {
		return err
	}
	defer store.Close()
	if resumed {
		fmt.Fprintf(stderr, "resuming the run of %s: %d of %d cells measured\n",
			store.Run.Head.Date.Format("2006-01-02 15:04"), len(store.Run.Results), len(cells))
	}
	bench := newBench(s, found, scratch, times)
	loop := campaign.Loop{
		Store: store, Measure: bench.Cell, Estimate: times.Estimate,
		Out: stderr, Terminal: term.IsTerminal(int(stderr.Fd())),
	}
	if err := loop.Run(ctx); err != nil {
		return err
	}
	return write(results, stderr)
}

func newBench(s scope, found servers, at *scratch, times plan.Times) *measure.Bench {
	site := func(base string) target.Site {
		return target.Site{Base: base, Port: s.Port, Scratch: at.config, Cores: runtime.NumCPU(), Root: os.Geteuid() == 0}
	}
	return &measure.Bench{
		Targets: found.targets, Site: site(at.page), Huge: site(at.sparse), Large: site(at.large),
		Vegeta: filepath.Join(s.Bin, "vegeta"), Rules: at.rules, Script: at.script, Times: times,
		OpenSSL: at.openssl, Certificate: at.certificate, Key: at.key,
		Proc: proctree.Reader{Proc: os.DirFS("/proc"), Link: func(name string) (string, error) {
			return os.Readlink(filepath.Join("/proc", name))
		}},
		Now: time.Now,
	}
}

// describe checks that the machine's limits allow the run, and returns its
// head: settings, commit, machine and versions.
func describe(kind record.Kind, s scope, found servers, cells []record.Cell) (record.Head, error) {
	most := plan.Most(cells)
	files, err := machine.RaiseFiles(uint64(most + 500)) // 500 for everything but clients
	if err != nil {
		return record.Head{}, err
	}
	m := machine.Describe(os.DirFS("/proc"), files)
	if err := machine.CheckPorts(m, s.Port, most); err != nil {
		return record.Head{}, err
	}
	if err := machine.CheckPort(s.Port); err != nil {
		return record.Head{}, err
	}
	versions, err := tools(cells, s.Bin)
	if err != nil {
		return record.Head{}, err
	}
	maps.Copy(versions, found.versions)
	versions["go"] = runtime.Version()[len("go"):]
	binary, err := machine.Hash(filepath.Join(s.Bin, "master"), filepath.Join(s.Bin, "worker"))
	if err != nil {
		return record.Head{}, err
	}
	page, err := os.Stat(filepath.Join(s.Base, "index.html"))
	if err != nil {
		return record.Head{}, fmt.Errorf("page to request: %w", err)
	}
	commit, clean := machine.Commit()
	return record.Head{
		Settings: record.Settings{Kind: kind, Seconds: s.Seconds, Page: page.Size(), Servers: names(cells), Experiments: experiments(cells), Cells: cells},
		Commit:   commit, Clean: clean, Binary: binary, Date: time.Now().UTC().Truncate(time.Second),
		Machine: m, Versions: versions, Missing: found.missing,
	}, nil
}
