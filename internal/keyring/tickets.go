package keyring

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// A session ticket is sealed with a key that all workers have, so that a session
// resumes in any of them. One who steals a key can read the TLS 1.2 sessions that
// were resumed with it; so keys do not live long.
const (
	rotateEvery = 8 * time.Hour // a key makes tickets that long
	keptKeys    = 2             // and then opens them for so many times that
)

// tickets are the session ticket keys: the one that makes tickets, the one that will
// be next, and those that have been before. A worker knows the next key long before
// another makes tickets with it.
type tickets struct {
	keys  [][32]byte
	since time.Time // when the first began to make tickets
}

func newKey() (key [32]byte) {
	rand.Read(key[:]) // never fails
	return key
}

func newTickets(now time.Time) tickets {
	return tickets{keys: [][32]byte{newKey(), newKey()}, since: now}
}

// rotated returns the keys for a time, and whether they are others.
func (t tickets) rotated(now time.Time) (tickets, bool) {
	if age := now.Sub(t.since); age >= 0 && age < rotateEvery {
		return t, false // else the clock was set back, and their age is not known
	}
	keys := slices.Concat([][32]byte{t.keys[1], newKey(), t.keys[0]}, t.keys[2:])
	return tickets{keys: keys[:min(len(keys), 2+keptKeys)], since: now}, true
}

// rotate changes the ticket keys when it is time for that.
func (k *Keyring) rotate() {
	now := k.Now()
	k.mu.Lock()
	_, due := k.tickets.rotated(now)
	k.mu.Unlock()
	if !due {
		return
	}
	keys := 0
	err := k.change(func() {
		// A change of the client CA may have replaced all keys meanwhile.
		if k.tickets, due = k.tickets.rotated(now); due {
			keys = len(k.tickets.keys)
		}
	})
	switch {
	case err != nil:
		k.mu.Lock()
		k.tickets.since = now.Add(retryEvery - rotateEvery) // try again then
		k.mu.Unlock()
		k.Alert(fmt.Sprintf("session ticket keys not rotated: %v; trying again in %v", err, retryEvery))
	case due:
		k.Log.Info().Int("keys", keys).Msg("session ticket keys rotated")
	}
}
