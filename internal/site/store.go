package site

import (
	"time"

	"phalanx/internal/proto"
)

// cached is a cached result of opening a path.
type cached struct {
	store  *store
	key    string
	file   *File // nil if there is none
	status proto.Status
	realms proto.Realms // whose credentials it needs
	looked time.Time    // when it was last checked
	used   bool         // since the hand last passed it
	at     int          // index in the ring
}

// open returns the file to one more user, if access grants it.
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

// store has entries by their keys. If it is full, the entry to remove is found with the
// second-chance algorithm: the first one that was not used since the hand last passed it.
// Unlike with LRU, using an entry only sets a flag.
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

// victim returns the entry to remove. The store must not be empty.
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
