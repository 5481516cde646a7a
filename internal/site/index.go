package site

import (
	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// index opens the index file of a directory, whose clean name is empty or ends with a slash, and
// also returns the name of that file. If the directory has none, the error is ENOENT.
func (r *Root) index(name []byte, access *proto.Access) (*File, []byte, error) {
	for _, index := range r.policy.Index {
		if len(name)+len(index) >= cap(name) {
			continue
		}
		full := append(name, index...)
		r.found(FileIndex, full[len(name):])
		f, err := r.file(full, access)
		if err != unix.ENOENT {
			return f, full, err
		}
	}
	return nil, name, unix.ENOENT
}
