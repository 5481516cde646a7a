package main

import (
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
	"phalanx/tools/internal/tool"
)

// servers holds the servers that a run can measure, and for each of the others
// the reason why it cannot.
type servers struct {
	names    []string
	targets  map[string]target.Target
	versions map[string]string
	missing  map[string]string
}

// find looks up the servers of a run. A comparison leaves out servers that are
// not installed; the other runs need all of theirs.
func find(kind record.Kind, bin string) servers {
	found := servers{targets: make(map[string]target.Target), versions: make(map[string]string), missing: make(map[string]string)}
	all := target.Models(absolute(bin))
	switch kind {
	case record.Peers:
		all = slices.Concat(target.Floors(absolute(bin)), target.Compared(absolute(bin)), target.Peers(absolute(bin)))
	case record.Costs:
		all = target.Observed(absolute(bin))
	case record.Faults:
		all = append(all[:1:1], slices.DeleteFunc(target.Peers(absolute(bin)), func(t target.Target) bool {
			return t.Name != "nginx" && t.Name != "fasthttp-prefork"
		})...)
	}
	for _, t := range all {
		version, err := t.Find()
		if err != nil {
			found.missing[t.Name] = err.Error()
			continue
		}
		found.names = append(found.names, t.Name)
		found.targets[t.Name] = t
		if target.IsPhalanx(t.Name) {
			found.versions["phalanx"] = version
		} else {
			found.versions[t.Name] = version
		}
	}
	return found
}

// tools checks that the load generators of the cells are installed, and returns
// their versions.
func tools(cells []record.Cell, bin string) (map[string]string, error) {
	versions := make(map[string]string)
	needed := experiments(cells)
	for _, p := range tool.Probes() {
		if !slices.ContainsFunc(needed, func(e record.Experiment) bool { return slices.Contains(tool.Of(e), p.Name) }) {
			continue
		}
		out, err := exec.Command(p.Name, p.Args...).CombinedOutput()
		if len(out) == 0 && err != nil {
			return nil, fmt.Errorf("%s not found; run %s", p.Name, p.Install)
		}
		if versions[p.Name], err = p.Check(string(out)); err != nil {
			return nil, err
		}
	}
	if slices.Contains(needed, record.Rate) {
		info, err := buildinfo.ReadFile(filepath.Join(bin, tool.Vegeta))
		if err != nil {
			return nil, fmt.Errorf("vegeta not found; run make %s", filepath.Join("bin", tool.Vegeta))
		}
		versions[tool.Vegeta] = strings.TrimPrefix(info.Main.Version, "v")
	}
	return versions, nil
}

func experiments(cells []record.Cell) []record.Experiment {
	var all []record.Experiment
	for _, c := range cells {
		if !slices.Contains(all, c.Experiment) {
			all = append(all, c.Experiment)
		}
	}
	return all
}

// names lists the servers in the order of their first cell, as the tables do.
func names(cells []record.Cell) []string {
	var all []string
	for _, c := range cells {
		if !slices.Contains(all, c.Server) {
			all = append(all, c.Server)
		}
	}
	return all
}

func absolute(dir string) string {
	path, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return path
}
