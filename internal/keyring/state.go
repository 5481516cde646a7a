package keyring

import (
	"bytes"
	"fmt"
	"maps"
	"time"

	"phalanx/internal/certificate"
)

// State is what has to be the same after an upgrade. The names of its fields stay:
// a program of another version may read it.
type State struct {
	Sources    []certificate.Source // that were read from files, clients' authorities among them
	TicketKeys [][]byte             // as a bundle has them
	Since      time.Time            // when the first of them began to make tickets
	SelfSigned *certificate.Source  // nil: none
	Passwords  []certificate.Source // files of passwords, as Chain
	Published  []certificate.Source // by an ACME client, until it publishes again
	Warned     map[string]int       // how many of the warnings of its expiry there were, by fingerprint
}

// State returns the state for the next program.
func (k *Keyring) State() *State {
	k.mu.Lock()
	defer k.mu.Unlock()
	var sources, passwords []certificate.Source
	for _, i := range k.loaded.items() {
		if i.kind == kindPasswords {
			passwords = append(passwords, i.source)
		} else {
			sources = append(sources, i.source)
		}
	}
	s := &State{Sources: sources, Passwords: passwords, Since: k.tickets.since, SelfSigned: k.loaded.selfSigned, Published: k.published, Warned: maps.Clone(k.warned)}
	for _, key := range k.tickets.keys {
		s.TicketKeys = append(s.TicketKeys, key[:])
	}
	return s
}

// Loaded returns what settings name as it was before, for the case that it cannot be
// read now. The files are looked at as if they had changed.
func (s *State) Loaded(settings Settings) (*Loaded, error) {
	return load(settings, time.Now(), func(i *item) error {
		from := s.Sources
		if i.kind == kindPasswords {
			from = s.Passwords
		}
		for _, src := range from {
			if i.source = src; src.Name == i.Certificate && (i.kind != kindPair) == (len(src.Key) == 0) {
				return nil
			}
		}
		return fmt.Errorf("%s %q: not known before the upgrade", i.what(), i.Certificate)
	})
}

// resume takes the state over, as far as it is usable.
func (k *Keyring) resume(s *State) {
	k.tickets = newTickets(k.Now())
	if s == nil {
		return
	}
	if keys := ticketKeys(s.TicketKeys); len(keys) >= 2 && bytes.Equal(s.clientCA(), k.loaded.clientCA()) {
		k.tickets = tickets{keys, s.Since}
	}
	if s.SelfSigned != nil && k.loaded.selfSigned != nil && named(s.SelfSigned, k.loaded.names) {
		k.loaded.selfSigned = s.SelfSigned
	}
	if _, err := certificate.Parse(s.Published); err == nil {
		k.published = s.Published
	}
	maps.Copy(k.warned, s.Warned)
}

// clientCA returns the authorities whose clients may have tickets.
func (s *State) clientCA() []byte {
	for _, src := range s.Sources {
		if len(src.Key) == 0 {
			return src.Chain
		}
	}
	return nil
}

func ticketKeys(list [][]byte) (keys [][32]byte) {
	for _, p := range list {
		if len(p) != 32 {
			return nil
		}
		keys = append(keys, [32]byte(p))
	}
	return keys
}
