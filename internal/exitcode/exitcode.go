// Package exitcode has the exit codes of the programs, and the error that
// causes one.
package exitcode

import "errors"

// The exit codes; the two of sysexits.h say that another start like this one
// fails too.
const (
	Failure = 1   // failed at run time
	Usage   = 64  // EX_USAGE: a flag, its value, an unexpected argument
	Config  = 78  // EX_CONFIG: well formed, but this machine cannot do it
	Forced  = 130 // stopped immediately, as by SIGINT
)

// Error is one sentence for the user, with the exit code of a program that
// ends for it.
type Error struct {
	Code  int
	Text  string
	Cause error // or nil
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Cause }

// New makes an [Error]; cause may be nil.
func New(code int, text string, cause error) *Error {
	return &Error{Code: code, Text: text, Cause: cause}
}

// Code is the exit code of a program that ends for err: 0 for nil, that of the
// outermost [Error] in it, or else Failure.
func Code(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Failure
}
