package options

// Version is the release of this source tree. The Server header is
// phalanx/Version, and a master accepts only workers of its own version.
const Version = "0.1.0"
