package options

// Version is the release that this source tree leads to, unless the linker sets
// another (scripts/build.sh). The Server header is phalanx/Version, and a master
// accepts only workers of its own version.
var Version = "0.1.0"

// Released is the day of that release, year, month and day; the man page
// bears it.
var Released = "2026-11-23"

// versionInfo is what --version prints.
func versionInfo() *Info { return &Info{"phalanx " + Version + "\n"} }
