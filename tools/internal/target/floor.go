package target

import (
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"phalanx/tools/internal/record"
)

// Floors returns the two servers of tools/floor, which send one fixed response to any
// request: the least work for a page on this machine.
func Floors(binaries string) []Target {
	return []Target{
		floor(record.FloorC, filepath.Join(binaries, "floor-c"), "make floor, which needs cc"),
		floor(record.FloorGo, filepath.Join(binaries, "floor"), "make floor"),
	}
}

// IsFloor reports whether name is that of a floor, which is a baseline and not one of the
// servers that are compared.
func IsFloor(name string) bool { return slices.Contains([]string{record.FloorC, record.FloorGo}, name) }

func floor(name, program, install string) Target {
	return Target{
		Name: name, Install: install, Program: program, version: []string{"--version"}, pattern: `([0-9]+\.[0-9.]+)`, Stop: syscall.SIGTERM,
		args: func(s Site, _ string) []string {
			mode := "keep"
			if s.Closing {
				mode = "close"
			}
			return []string{strconv.Itoa(s.Port), filepath.Join(s.Base, "index.html"), strconv.Itoa(s.Cores), mode}
		},
	}
}
