//go:build !killpoints

package rescue

// Point is a place between two stores or system calls at which a test may kill
// the worker. It costs nothing but in the binaries of that test.
func Point(int) {}

func point(int) {}

// Fault is where a test makes a worker crash by its own fault on a request.
func Fault([]byte) {}
