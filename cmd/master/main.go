// Command master serves a website with a pool of worker processes. It wires
// the parts together and turns errors into lines and exit codes.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"phalanx/internal/exitcode"
	"phalanx/internal/logging"
	"phalanx/internal/options"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin, stdout, stderr *os.File) int {
	ownDescriptors()
	err := do(args, stdin, stdout, stderr)
	if err == nil {
		return 0
	}
	if info, ok := errors.AsType[*options.Info](err); ok {
		if _, err = fmt.Fprint(stdout, info.Text); err == nil {
			return 0
		}
	}
	out := logging.NewWriter(stderr, logging.Auto) // does not block if standard error is a full pipe
	defer out.Close()
	for line := range strings.SplitSeq(err.Error(), "\n") { // a file may have several errors
		fmt.Fprintf(out, "%s: %s\n", name(), line)
	}
	return exitcode.Code(err)
}

// do runs the server or a command.
func do(args []string, stdin, stdout, stderr *os.File) error {
	_, renders := os.LookupEnv(identityKey)
	_, helps := os.LookupEnv(helperKey)
	switch command := strings.Join(args, " "); { // the master starts these itself, with these variables
	case command == "readme" && renders:
		return runReadme(stdin, stdout)
	case command == "helper" && helps:
		return runHelper()
	}
	c, err := commandLine(args).Command()
	switch {
	case err != nil:
		return err
	case c != nil && c.Share != nil:
		nameProcess(processName)
		return runShare(c, args, stdout, stderr)
	case c != nil:
		return command(c, stdin, stdout, stderr)
	}
	nameProcess(processName)
	return serve(args, stdout, stderr, nil)
}

// commandLine describes how this program was started.
func commandLine(args []string) options.Start {
	return options.Start{Name: name(), Args: args, Getenv: os.Getenv, Environ: os.Environ}
}

// name returns the base name that this program was started as.
func name() string { return filepath.Base(os.Args[0]) }

// processName is the master's name in ps and top.
const processName = "phalanx-master"

// nameProcess sets this process's name, of at most 15 bytes. Without /proc it does nothing.
func nameProcess(name string) { _ = os.WriteFile("/proc/self/comm", []byte(name), 0) }
