package keyring

import (
	"slices"
	"testing"
	"time"
)

// Workers know a key for eight hours before tickets are issued with it, and for sixteen
// hours after.
func TestRotation(t *testing.T) {
	r := newRing(t, Settings{}, nil)
	history := [][][32]byte{r.bundle().TicketKeys}
	for range 6 {
		r.now = r.now.Add(rotateEvery - time.Second)
		r.poll()
		r.hasChanged(false)
		r.now = r.now.Add(time.Second)
		r.poll()
		r.hasChanged(true)
		history = append(history, r.bundle().TicketKeys)
	}
	for i, keys := range history {
		if len(keys) != min(2+i, 4) {
			t.Errorf("%d keys after %d rotations", len(keys), i)
		}
		for j, other := range history {
			known := slices.Contains(other, keys[0])
			if want := j >= i-1 && j <= i+keptKeys; known != want {
				t.Errorf("the key of period %d in period %d: %v", i, j, known)
			}
		}
	}
}

// A clock that is set back does not extend the use of a key.
func TestRotationClock(t *testing.T) {
	r := newRing(t, Settings{}, nil)
	first := r.bundle().TicketKeys
	r.now = r.now.Add(-time.Hour)
	r.poll()
	if keys := r.bundle().TicketKeys; keys[0] != first[1] || keys[2] != first[0] {
		t.Error("the keys are the same")
	}
	r.poll()
	r.now = r.now.Add(rotateEvery - time.Second)
	r.poll()
	if got := r.bundle().TicketKeys; got[2] != first[0] {
		t.Error("rotated twice")
	}
}
