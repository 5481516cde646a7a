package options

// Version is the release of this source tree. The Server header is
// phalanx/Version, and a master accepts only workers of its own version.
const Version = "0.1.0"

// versionInfo is what --version prints.
func versionInfo() *Info { return &Info{"phalanx " + Version + "\n"} }

// Released is the day of that release, year, month and day; the man page
// bears it.
const Released = "2026-11-23"
