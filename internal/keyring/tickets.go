package keyring

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// A session ticket is encrypted with a key that all workers have, so that a session can be
// resumed in any of them. Whoever steals a key can decrypt the TLS 1.2 sessions resumed with
// it, so keys are rotated.
const (
	rotateEvery = 8 * time.Hour // how long a key encrypts tickets
	keptKeys    = 2             // for how many further rotations it decrypts them
)

// tickets are the session ticket keys: the current one, the next one, and the previous ones.
// Workers get the next key long before it encrypts tickets, so that none sees tickets that it
// cannot decrypt.
type tickets struct {
	keys  [][32]byte
	since time.Time // when the first came into use
}

func newKey() (key [32]byte) {
	rand.Read(key[:]) // never fails
	return key
}

func newTickets(now time.Time) tickets {
	return tickets{keys: [][32]byte{newKey(), newKey()}, since: now}
}

// rotated returns the keys for a time, and whether they have changed.
func (t tickets) rotated(now time.Time) (tickets, bool) {
	if age := now.Sub(t.since); age >= 0 && age < rotateEvery {
		return t, false // a negative age means that the clock was set back: rotate
	}
	keys := slices.Concat([][32]byte{t.keys[1], newKey(), t.keys[0]}, t.keys[2:])
	return tickets{keys: keys[:min(len(keys), 2+keptKeys)], since: now}, true
}

// rotate rotates the ticket keys if that is due.
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
		// A change of the client CA may have replaced all keys in the meantime.
		if k.tickets, due = k.tickets.rotated(now); due {
			keys = len(k.tickets.keys)
		}
	})
	switch {
	case err != nil:
		k.mu.Lock()
		k.tickets.since = now.Add(retryInterval - rotateEvery) // try again after retryInterval
		k.mu.Unlock()
		k.Alert(fmt.Sprintf("session ticket keys not rotated: %v; trying again in %v", err, retryInterval))
	case due:
		k.Log.Info().Int("keys", keys).Msg("session ticket keys rotated")
	}
}
