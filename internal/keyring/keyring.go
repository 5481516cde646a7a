// Package keyring holds the secrets that the master passes to its workers: TLS certificates
// with their keys, session ticket keys, client CAs, responses to ACME challenges, and password
// files.
//
// Only a [Keyring] reads such files. It polls them each second, checks changed ones and
// publishes everything as an encoded [certificate.Bundle] in a sealed memfd, whose descriptor
// each worker gets. Invalid files are refused in one line, and the current ones stay in use.
// It also rotates the ticket keys and warns of expiring certificates.
package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/certificate"
	"phalanx/internal/ipc"
)

// Config configures a keyring. Alert is required.
type Config struct {
	Alert func(line string) // reports what the operator must know even in silent mode
	Log   zerolog.Logger
	Now   func() time.Time // time.Now
}

// Keyring is safe for concurrent use.
type Keyring struct {
	Config
	changed chan struct{}  // capacity 1: notifications carry no data
	stop    chan struct{}  // closed by Stop
	watches sync.WaitGroup // Start's goroutines
	renewAt time.Time      // the self-signed certificate is not renewed before; only tend uses it

	mu         sync.Mutex
	loaded     Loaded
	published  []certificate.Source // by an ACME client
	challenges []certificate.Source
	answers    map[string]string
	tickets    tickets
	file       *os.File          // the last published bundle, sealed
	id         uint32            // its ID, from 1
	used       uint32            // the ID of the bundle that all workers use
	news       chan struct{}     // closed when used grows
	digest     [sha256.Size]byte // of its content
	list       []certificate.Info
	warned     map[string]int  // number of warnings given, by fingerprint
	readable   map[string]bool // keys of whose permissions was warned
}

// New returns a keyring and publishes its content. Certificates that are not valid now only
// cause a warning, so that a restart does not fail because of them. before is the state before
// an upgrade; nil: there was none.
func New(cfg Config, loaded *Loaded, before *State) (*Keyring, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	k := &Keyring{
		Config: cfg, changed: make(chan struct{}, 1), stop: make(chan struct{}), news: make(chan struct{}),
		loaded: *loaded, warned: map[string]int{}, readable: map[string]bool{},
	}
	k.resume(before)
	if err := k.publish(); err != nil {
		return nil, err
	}
	k.warnPermissions()
	k.warnExpiry()
	for _, c := range k.list {
		if k.Now().Before(c.NotBefore) {
			k.Alert(fmt.Sprintf("certificate %q for %s is not valid before %s; check the clock", c.Source, c.Names[0], c.NotBefore.UTC().Format(time.RFC3339)))
		}
	}
	return k, nil
}

// Credentials returns the last published bundle, for [ipc.Credentials], and its ID. The caller
// closes the file.
func (k *Keyring) Credentials() (file *os.File, id uint32, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fd, err := unix.FcntlInt(k.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("pass certificates to a worker: %w", err)
	}
	return os.NewFile(uintptr(fd), "credentials"), k.id, nil
}

// Used reports that all workers use the credentials with this ID or later ones.
func (k *Keyring) Used(id uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id > k.used {
		k.used = id
		close(k.news)
		k.news = make(chan struct{})
	}
}

// AwaitUsed waits until all workers use what was published last, or ctx ends.
func (k *Keyring) AwaitUsed(ctx context.Context) error {
	k.mu.Lock()
	want := k.id
	for k.used < want {
		news := k.news
		k.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
		k.mu.Lock()
	}
	k.mu.Unlock()
	return nil
}

// Changed returns a channel that receives a value after something was published.
func (k *Keyring) Changed() <-chan struct{} { return k.changed }

// List describes the certificates in use, the default first.
func (k *Keyring) List() []certificate.Info {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.list)
}

// Check returns an error for newly loaded certificates that are not valid now, unless they are
// in use already.
func (k *Keyring) Check(loaded *Loaded) error {
	k.mu.Lock()
	now, used := k.Now(), k.loaded.items
	k.mu.Unlock()
	for _, i := range loaded.items {
		if !slices.ContainsFunc(used, i.same) {
			if err := i.check(now); err != nil {
				return err
			}
		}
	}
	return nil
}

// Use replaces what was read from files. A self-signed certificate is kept if it has all
// names.
func (k *Keyring) Use(loaded *Loaded) error {
	widened := false
	err := k.change(func() {
		self := k.loaded.selfSigned
		if k.loaded = *loaded; loaded.selfSigned != nil && self != nil {
			if widened = !named(self, loaded.names); !widened {
				k.loaded.selfSigned = self // users may have accepted it in their browsers
			}
		}
	})
	if own := k.SelfSigned(); widened && err == nil && own != nil {
		k.Alert(fmt.Sprintf("self-signed certificate generated for more names, SHA-256 fingerprint %v; browsers warn again", own.Fingerprint))
	}
	k.warnPermissions()
	k.warnExpiry()
	return err
}

// Offer also publishes the passwords of newly loaded files, which new workers need before Use
// is called.
func (k *Keyring) Offer(loaded *Loaded) error {
	return k.change(func() {
		for _, i := range loaded.items {
			known := func(j *item) bool { return j.kind == kindPasswords && j.Certificate == i.Certificate }
			if i.kind == kindPasswords && !slices.ContainsFunc(k.loaded.items, known) {
				k.loaded.items = append(slices.Clip(k.loaded.items), i)
			}
		}
	})
}

// Publish replaces what an ACME client has obtained: certificates, which come after those from
// files, and the responses to challenges: certificates for TLS-ALPN-01, and the key authorization
// of each token for HTTP-01. See AwaitUsed. Invalid certificates are an error. Whether they are
// valid now is not checked: one that is not valid yet means that the clock is wrong, and one whose
// intermediate has expired must not keep the others from the workers.
func (k *Keyring) Publish(certificates, challenges []certificate.Source, answers map[string]string) error {
	if _, err := certificate.Parse(challenges); err != nil {
		return err
	}
	err := k.change(func() {
		k.published, k.challenges, k.answers = slices.Clone(certificates), slices.Clone(challenges), maps.Clone(answers)
	})
	k.warnExpiry()
	return err
}

// change applies do and publishes the result. If that fails, it undoes the change.
func (k *Keyring) change(do func()) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	loaded, published, challenges, answers, keys := k.loaded, k.published, k.challenges, k.answers, k.tickets
	do()
	if !bytes.Equal(k.loaded.clientCA().Chain, loaded.clientCA().Chain) {
		// Resumed sessions do not verify the client certificate again.
		k.tickets = newTickets(k.Now())
	}
	err := k.publish()
	if err != nil {
		k.loaded, k.published, k.challenges, k.answers, k.tickets = loaded, published, challenges, answers, keys
	}
	return err
}

// publish publishes the current content if it has changed.
func (k *Keyring) publish() error {
	sources := slices.Concat(k.loaded.sources(), k.published)
	set, err := certificate.Parse(sources)
	if err != nil {
		return err
	}
	b := certificate.Bundle{
		Certificates: sources, TicketKeys: k.tickets.keys, ClientCA: k.loaded.clientCA().Chain,
		Challenges: k.challenges, Answers: k.answers,
	}
	for _, src := range k.loaded.of(kindPasswords) {
		b.Passwords = append(b.Passwords, certificate.Passwords{Name: []byte(src.Name), Text: src.Chain})
	}
	text, err := b.Encode()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	if k.file != nil && digest == k.digest {
		return nil
	}
	file, err := ipc.Sealed("phalanx-credentials", text)
	if err != nil {
		return fmt.Errorf("pass certificates to workers: %w", err)
	}
	before := k.file
	k.id++
	if k.file, k.digest, k.list = file, digest, set.List(); before == nil {
		return nil
	}
	before.Close()
	select {
	case k.changed <- struct{}{}:
	default: // a notification is pending
	}
	return nil
}
