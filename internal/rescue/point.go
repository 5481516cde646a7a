//go:build !killpoints

package rescue

// Point is a place between two stores or system calls at which a test may kill
// the worker. It has no effect except in the binaries of that test.
func Point(int) {}

func point(int) {}

// Fault is where a test makes a worker crash on a request.
func Fault([]byte) {}

// Variables are the names of environment variables that a worker reads: none, except
// in those binaries.
func Variables() []string { return nil }
