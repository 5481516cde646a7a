package keyring

import (
	"bytes"
	"fmt"
	"maps"
	"time"

	"phalanx/internal/certificate"
)

// State is what is kept across an upgrade. The names of its fields must not change, because
// another version may read it.
type State struct {
	Pairs      []certificate.Source // read from files
	ClientCA   certificate.Source   // zero: none
	TicketKeys [][32]byte
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
	return &State{
		Pairs: l.of(kindPair), ClientCA: l.clientCA(), Passwords: l.of(kindPasswords), SelfSigned: l.selfSigned,
		TicketKeys: k.tickets.keys, Since: k.tickets.since, Published: k.published, Warned: maps.Clone(k.warned),
	}
}

// Loaded returns the content of the files before the upgrade, for use if they cannot be read
// now. The next poll reads them as if they had changed.
func (s *State) Loaded(settings Settings) (*Loaded, error) {
	return load(settings, time.Now(), func(i *item) error {
		from := [...][]certificate.Source{kindPair: s.Pairs, kindAuthority: {s.ClientCA}, kindPasswords: s.Passwords}
		for _, src := range from[i.kind] {
			if i.source = src; src.Name == i.Certificate {
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
	if len(s.TicketKeys) >= 2 && bytes.Equal(s.ClientCA.Chain, k.loaded.clientCA().Chain) {
		k.tickets = tickets{s.TicketKeys, s.Since}
	}
	if s.SelfSigned != nil && k.loaded.selfSigned != nil && named(s.SelfSigned, k.loaded.names) {
		k.loaded.selfSigned = s.SelfSigned
	}
	if _, err := certificate.Parse(s.Published); err == nil {
		k.published = s.Published
	}
	maps.Copy(k.warned, s.Warned)
}
