package options

import "phalanx/internal/exitcode"

// usage says what is wrong with the command line, in one line.
func usage(text string) error { return exitcode.New(exitcode.Usage, text, nil) }

// Info is returned instead of options when the user asked for a text
// (--help, --version, the man page, a completion). The command prints it on
// standard output and is done.
type Info struct {
	Text string // ends in a newline, or is empty
}

func (e *Info) Error() string { return e.Text }
