package keyring

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"phalanx/internal/certificate"
)

// State is what is kept across an upgrade. The names and types of its fields must not change,
// because another version may read it, and ends if it cannot.
type State struct {
	Sources    []certificate.Source // read from files, including client CAs, which have no key
	TicketKeys [][]byte             // of 32 bytes each
	Since      time.Time            // when the first of them came into use
	SelfSigned *certificate.Source  // nil: none
	Passwords  []certificate.Source // password files, as Chain
	Published  []certificate.Source // the last certificates from the ACME client
	Warned     map[string]int       // number of expiry warnings given, by fingerprint
}

// State returns the state for the new binary.
func (k *Keyring) State() *State {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.loaded
	s := &State{
		Sources: slices.Concat(l.of(kindPair), l.of(kindAuthority)), Passwords: l.of(kindPasswords), SelfSigned: l.selfSigned,
		Since: k.tickets.since, Published: k.published, Warned: maps.Clone(k.warned),
	}
	for _, key := range k.tickets.keys {
		s.TicketKeys = append(s.TicketKeys, key[:])
	}
	return s
}

// Loaded returns the content of the files before the upgrade, for use if they cannot be read
// now. The next poll reads them as if they had changed.
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

// resume restores the state as far as it is usable.
func (k *Keyring) resume(s *State) {
	k.tickets = newTickets(k.Now())
	if s == nil {
		return
	}
	if keys := ticketKeys(s.TicketKeys); len(keys) >= 2 && bytes.Equal(s.clientCA(), k.loaded.clientCA().Chain) {
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

// clientCA returns the client CAs.
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
