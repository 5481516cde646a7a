package website

import (
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// Asks are functions that request a missing entry of the cache directory from the helper;
// fd is the open file. They must not block, and report whether the request was made. A nil
// function requests nothing.
type Asks struct {
	Copy   func(coding proto.Coding, fd int) bool
	Digest func(copied bool, fd int) bool
}

// UseCache makes sites send the compressed copies in the cache directory, and make entity
// tags of the digests there, according to the options. dir is the directory's descriptor, -1
// if there is none.
func UseCache(s *Sites, o options.Options, dir int, asks Asks) {
	var copies *site.Copies
	var digests *site.Digests
	if o.Compress {
		copies = site.NewCopies(dir, asks.Copy)
	}
	if o.ETag != options.ETagTimes {
		digests = site.NewDigests(dir, o.ETag == options.ETagContent, asks.Digest)
	}
	for _, root := range s.All() {
		root.Copies, root.Digests = copies, digests
	}
}
