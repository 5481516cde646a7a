package options

// UsageError says what is wrong with the command line, in one line.
type UsageError struct {
	Text string
}

func (e *UsageError) Error() string { return e.Text }

// ExitCode is 64, EX_USAGE of sysexits.h.
func (e *UsageError) ExitCode() int { return 64 }

// ConfigError says that the command line is well formed but asks for
// something that this machine does not have.
type ConfigError struct {
	Text string
	Err  error // the cause, or nil
}

func (e *ConfigError) Error() string { return e.Text }
func (e *ConfigError) Unwrap() error { return e.Err }

// ExitCode is 78, EX_CONFIG of sysexits.h.
func (e *ConfigError) ExitCode() int { return 78 }

// Info is returned instead of options when the user asked for a text
// (--help, --version, the man page, a completion). The command prints it on
// standard output and is done.
type Info struct {
	Text string // ends in a newline, or is empty
}

func (e *Info) Error() string { return e.Text }
