//go:build !killpoints

package rescue

// Point is a named place between two stores or system calls, here or in the event loop, at which a
// test may kill the worker. It has no effect except in the binaries of that test.
func Point(string) {}

// Fault is where a test makes a worker crash on a request.
func Fault([]byte) {}

// Variables are the names of environment variables that a worker reads: none, except
// in those binaries.
func Variables() []string { return nil }
