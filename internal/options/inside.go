package options

import (
	"strings"

	"phalanx/internal/observe/address"
)

// The types of the flags for observation.
type (
	Admin     address.Address // "": none
	AccessLog string          // a file's path, Stdout, or "" for none
)

// Stdout stands for standard output where a file is wanted.
const Stdout = "-"

func (a *Admin) UnmarshalFlag(v string) error {
	if cure := address.Address(v).Cure(); cure != "" {
		return invalid("admin", v, cure)
	}
	*a = Admin(v)
	return nil
}

func (a *AccessLog) UnmarshalFlag(v string) error {
	if v == "" || strings.HasSuffix(v, "/") || strings.ContainsRune(v, 0) {
		return invalid("access-log", v, "must name a file, such as access.log, or - for standard output")
	}
	*a = AccessLog(v)
	return nil
}
