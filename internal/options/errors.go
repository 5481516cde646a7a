package options

import "phalanx/internal/exitcode"

// usage returns an error of the command line. text is one line.
func usage(text string) error { return exitcode.New(exitcode.Usage, text, nil) }

// Info is returned as an error instead of options when the user asked for a text (--help,
// --version, the man page, a completion). The program prints it on standard output and exits.
type Info struct {
	Text string // ends in a newline, or is empty
}

func (e *Info) Error() string { return e.Text }
