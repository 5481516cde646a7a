package target

import (
	"path/filepath"
	"strconv"
	"syscall"
)

// ModelNames lists the models of Phalanx, the new ones first.
func ModelNames() []string { return []string{"process", "goroutine", "serial"} }

// Phalanx returns the models, whose binaries are in a directory. They are
// silent: no flag asks for a log.
func Phalanx(binaries string) []Target {
	var models []Target
	for _, model := range ModelNames() {
		models = append(models, Target{
			Name: model, Package: "make build",
			Program: filepath.Join(binaries, "master"),
			version: []string{"--version"}, pattern: `([0-9]+\.[0-9][^\s]*)`,
			args: func(s Site, _ string) []string {
				return []string{"--base", s.Base, "--port", strconv.Itoa(s.Port), "--model", model}
			},
			Stop: syscall.SIGINT,
		})
	}
	return models
}
