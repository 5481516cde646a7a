package options

// Version is the next release, unless the linker sets another one (scripts/build.sh). The
// Server header is phalanx/Version, and a master accepts only workers of its own version.
var Version = "0.1.0"

// Released is the date of that release, YYYY-MM-DD, for the man page.
var Released = "2026-11-23"

// versionInfo returns the text of --version.
func versionInfo() *Info { return &Info{"phalanx " + Version + "\n"} }
