package site

import (
	"time"

	"phalanx/internal/proto"
)

// cached is what a path was found to be.
type cached struct {
	store  *store
	key    string
	file   *File // nil if there is none
	status proto.Status
	realms proto.Realms // that it is in
	looked time.Time    // when it was looked at last
	used   bool         // since the hand passed
	at     int          // place in the ring
}

// open hands the file to one more user, who may have it.
func (e *cached) open(access *proto.Access) (*File, proto.Status) {
	e.used = true
	if e.realms != 0 {
		if access.Used |= e.realms; e.realms&^access.Granted != 0 {
			return nil, proto.StatusUnauthorized
		}
	}
	if e.file != nil {
		e.file.users++
	}
	return e.file, e.status
}

// store holds entries by their keys. When it is full, the one to go is the
// first that was not used since it was passed over the last time (the
// second-chance algorithm): using an entry costs a flag, not a list.
type store struct {
	max   int
	byKey map[string]*cached
	ring  []*cached
	hand  int
}

func (t *store) get(key []byte) *cached { return t.byKey[string(key)] }

func (t *store) put(e *cached) {
	e.at = len(t.ring)
	t.ring = append(t.ring, e)
	t.byKey[e.key] = e
}

func (t *store) remove(e *cached) {
	delete(t.byKey, e.key)
	last := len(t.ring) - 1
	t.ring[e.at] = t.ring[last]
	t.ring[e.at].at = e.at
	t.ring[last] = nil
	t.ring = t.ring[:last]
}

// victim returns the entry to go. The table is not empty.
func (t *store) victim() *cached {
	for {
		if t.hand >= len(t.ring) {
			t.hand = 0
		}
		e := t.ring[t.hand]
		if !e.used {
			return e
		}
		e.used = false
		t.hand++
	}
}
