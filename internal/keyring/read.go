package keyring

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/certificate"
	"phalanx/internal/password"
	"phalanx/internal/smallfile"
)

// Settings are the sources of certificates and passwords.
type Settings struct {
	Pairs      []Pair // the first is for clients that name no host
	ClientCA   string // path of a PEM file; "": clients need no certificate
	SelfSigned bool
	Passwords  []string // paths of password files
	Names      []string // names of a self-signed certificate, besides those of this machine
}

// Pair has the paths of a certificate and its key, which may be the same file.
type Pair struct{ Certificate, Key string }

// Loaded is the content of the files that Settings name, parsed successfully.
type Loaded struct {
	items      []*item
	selfSigned *certificate.Source // nil: none
	names      []string            // of the self-signed certificate
}

// item is what is read and replaced as a unit: a certificate with its key, the client CAs, or
// a password file, which is in the source's Chain.
type item struct {
	Pair
	kind   kind
	source certificate.Source
	at     signature   // of the files when they were last read
	next   signature   // a different signature at the last poll
	mode   fs.FileMode // permissions of the key file

	refused string    // why the current files are refused; "": they are not; guarded by Keyring.mu
	retryAt time.Time // when refused files are read again; zero: never
}

// kind is the kind of an item.
type kind uint8

const (
	kindPair kind = iota
	kindAuthority
	kindPasswords
)

// signature identifies the state of an item's files.
type signature [2]struct {
	err                 error
	device, inode, size uint64
	modified, changed   unix.Timespec
}

// maxFile is the size of the largest file in bytes, certificates included.
const maxFile = password.MaxFile

// Load reads and checks the files that s names, except whether certificates are valid now; see
// [Loaded.Check].
func Load(s Settings, now time.Time) (*Loaded, error) { return load(s, now, (*item).read) }

func load(s Settings, now time.Time, read func(*item) error) (*Loaded, error) {
	l := &Loaded{names: s.Names}
	for _, pair := range s.Pairs {
		l.items = append(l.items, &item{Pair: pair})
	}
	if s.ClientCA != "" {
		l.items = append(l.items, &item{Pair: Pair{s.ClientCA, s.ClientCA}, kind: kindAuthority})
	}
	for _, file := range s.Passwords {
		l.items = append(l.items, &item{Pair: Pair{file, file}, kind: kindPasswords})
	}
	for _, i := range l.items {
		if err := read(i); err != nil {
			return nil, err
		}
	}
	if s.SelfSigned {
		var err error
		if l.selfSigned, err = selfSigned(now, s.Names); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Check returns an error for the first certificate that is not valid at a time.
func (l *Loaded) Check(now time.Time) error {
	set, err := certificate.Parse(l.sources())
	if err != nil {
		return err
	}
	return set.Check(now)
}

// Hosts returns the names and addresses that the certificates are for.
func (l *Loaded) Hosts() (all []string) {
	set, err := certificate.Parse(l.sources())
	if err != nil {
		return nil // Load has parsed them
	}
	for _, c := range set.List() {
		all = append(all, c.Names...)
	}
	return all
}

func (l *Loaded) sources() (list []certificate.Source) {
	list = l.of(kindPair)
	if l.selfSigned != nil {
		list = append(list, *l.selfSigned)
	}
	return list
}

// clientCA returns the client CAs; zero: none.
func (l *Loaded) clientCA() certificate.Source {
	if list := l.of(kindAuthority); len(list) > 0 {
		return list[0]
	}
	return certificate.Source{}
}

// of returns the content of the items of a kind.
func (l *Loaded) of(k kind) (list []certificate.Source) {
	for _, i := range l.items {
		if i.kind == k {
			list = append(list, i.source)
		}
	}
	return list
}

// read reads and checks the files. If they change in the meantime, the next poll reads them
// again.
func (i *item) read() error {
	i.at = i.sign()
	chain, mode, err := smallfile.Read(i.Certificate, maxFile)
	if i.kind == kindPasswords && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; create it with: htpasswd -cB %s NAME", err, i.Certificate)
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", i.what(), i.Certificate, err)
	}
	switch i.kind {
	case kindAuthority:
		i.source = certificate.Source{Name: i.Certificate, Chain: chain}
		return checkAuthorities(i.source)
	case kindPasswords:
		i.source = certificate.Source{Name: i.Certificate, Chain: chain}
		_, err := password.Parse(i.Certificate, chain)
		return err
	}
	key := chain
	if i.Key != i.Certificate {
		if key, mode, err = smallfile.Read(i.Key, maxFile); err != nil {
			return fmt.Errorf("key %q of certificate %q: %w", i.Key, i.Certificate, err)
		}
	}
	i.mode = mode
	i.source = certificate.Source{Name: i.Certificate, Chain: chain, Key: key}
	_, err = certificate.Parse([]certificate.Source{i.source})
	switch {
	case err != nil && i.Key != i.Certificate:
		err = fmt.Errorf("%w (key %q)", err, i.Key)
	case errors.Is(err, certificate.ErrNoKey):
		err = fmt.Errorf("%w; name the file of the key with --tls-key", err)
	}
	return err
}

// check returns an error if a certificate is not valid at a time. Client CAs are checked in
// each handshake, and passwords do not expire.
func (i *item) check(now time.Time) error {
	if i.kind != kindPair {
		return nil
	}
	set, err := certificate.Parse([]certificate.Source{i.source})
	if err != nil {
		return err
	}
	return set.Check(now)
}

func (i *item) what() string {
	switch i.kind {
	case kindAuthority:
		return "client CA"
	case kindPasswords:
		return "password file"
	}
	return "certificate"
}

// checkAuthorities refuses a file without certificates or with an invalid one.
func checkAuthorities(src certificate.Source) error {
	n := 0
	for rest := src.Chain; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("client CA %q: it contains a %s; it must contain certificates only", src.Name, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("client CA %q: certificate %d: %w", src.Name, n+1, err)
		}
	}
	if n == 0 {
		return fmt.Errorf("client CA %q: no certificate in PEM form", src.Name)
	}
	return nil
}

// sign returns the current signature of the files, following symbolic links.
func (i *item) sign() (s signature) {
	for at, path := range []string{i.Certificate, i.Key} {
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			s[at].err = err
			continue
		}
		s[at].device, s[at].inode, s[at].size = stat.Dev, stat.Ino, uint64(stat.Size)
		s[at].modified, s[at].changed = stat.Mtim, stat.Ctim
	}
	return s
}
