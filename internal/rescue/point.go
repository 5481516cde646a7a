//go:build !killpoints

package rescue

// point is a place between two stores at which a test may kill the worker. It
// costs nothing but in the binaries of that test.
func point(int) {}

// Point is that of other packages.
func Point(int) {}
