package keyring

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/certificate"
	"phalanx/internal/human"
	"phalanx/internal/password"
)

// Settings say where certificates come from.
type Settings struct {
	Pairs      []Pair // the first is for clients that name no host
	ClientCA   string // path of a PEM file; "": clients need no certificate
	SelfSigned bool
	Passwords  []string // paths of files of passwords
	Names      []string // that a self-signed certificate is for, beside those of this machine
}

// Pair are the paths of a certificate and its key, which may be the same file.
type Pair struct{ Certificate, Key string }

// Loaded is what the settings name, read and found usable.
type Loaded struct {
	pairs      []*item
	authority  *item // the clients'; nil: none
	passwords  []*item
	selfSigned *certificate.Source // nil: none
	names      []string            // that it has to have
}

// item is what is read and replaced as one: a certificate with its key, the clients'
// authorities, or a file of passwords, which is the source's Chain.
type item struct {
	Pair
	kind   kind
	source certificate.Source
	at     signature   // of the files when they were read
	next   signature   // that was different when the files were looked at last
	mode   fs.FileMode // permissions of the key's file

	refused string    // why the current content of the files was refused; "": it was not; guarded by the keyring's lock
	retryAt time.Time // when they are read again for that; zero: never
}

// kind is what an item is.
type kind uint8

const (
	kindPair kind = iota
	kindAuthority
	kindPasswords
)

// signature tells whether files are still the same.
type signature [2]struct {
	err                 error
	device, inode, size uint64
	modified, changed   unix.Timespec
}

// maxFile bounds what is read of a file.
const maxFile = 1 << 20

// Load reads and checks what the settings name, except for how long it is valid; see
// [Loaded.Check].
func Load(s Settings, now time.Time) (*Loaded, error) { return load(s, now, (*item).read) }

func load(s Settings, now time.Time, read func(*item) error) (*Loaded, error) {
	l := &Loaded{names: s.Names}
	for _, pair := range s.Pairs {
		l.pairs = append(l.pairs, &item{Pair: pair})
	}
	if s.ClientCA != "" {
		l.authority = &item{Pair: Pair{s.ClientCA, s.ClientCA}, kind: kindAuthority}
	}
	for _, file := range s.Passwords {
		l.passwords = append(l.passwords, &item{Pair: Pair{file, file}, kind: kindPasswords})
	}
	for _, i := range l.items() {
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

// Check reports the first certificate that is not valid at a time.
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
		return nil // Load has found them usable
	}
	for _, c := range set.List() {
		all = append(all, c.Names...)
	}
	return all
}

func (l *Loaded) sources() (list []certificate.Source) {
	for _, i := range l.pairs {
		list = append(list, i.source)
	}
	if l.selfSigned != nil {
		list = append(list, *l.selfSigned)
	}
	return list
}

func (l *Loaded) clientCA() []byte {
	if l.authority == nil {
		return nil
	}
	return l.authority.source.Chain
}

// items returns all that is read from files.
func (l *Loaded) items() []*item {
	all := slices.Clone(l.pairs)
	if l.authority != nil {
		all = append(all, l.authority)
	}
	return append(all, l.passwords...)
}

// read reads the files and checks what is in them. An item in which files change
// meanwhile is read again when they are looked at next.
func (i *item) read() error {
	i.at = i.sign()
	chain, mode, err := readFile(i.Certificate)
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
		if key, mode, err = readFile(i.Key); err != nil {
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

// check reports what is not valid at a time. Of authorities that is a matter of each
// connection, and passwords do not expire.
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

// readFile reads a file of PEM, and returns its permissions.
func readFile(path string) (text []byte, mode fs.FileMode, err error) {
	// Without O_NONBLOCK a pipe would have to be written to first.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, human.Cause(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, human.Cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	if text, err = io.ReadAll(io.LimitReader(file, maxFile+1)); err != nil {
		return nil, 0, human.Cause(err)
	}
	if len(text) > maxFile {
		return nil, 0, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return text, info.Mode().Perm(), nil
}

// checkAuthorities refuses a file in which a certificate is damaged, as well as one
// without any.
func checkAuthorities(src certificate.Source) error {
	n := 0
	for rest := src.Chain; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("client CA %q: it has a %s; only certificates belong there", src.Name, block.Type)
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

// sign returns the present signature of the files, following symbolic links.
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
