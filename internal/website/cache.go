package website

import (
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// Asks ask the pool's helper, with the file open, for what the cache directory lacks. They
// must not wait, and report whether they could ask; nil: nobody is asked.
type Asks struct {
	Copy   func(coding proto.Coding, fd int) bool
	Digest func(copied bool, fd int) bool
}

// UseCache lets sites send the compressed copies in the cache directory, and make entity tags
// of the digests there, as far as the options want it. It gets the directory's descriptor;
// -1: there is none.
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
