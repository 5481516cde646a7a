package acme

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/certificate"
	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// State is the directory with accounts, keys and certificates. One process at a time can open
// it.
//
//	DIR/lock                                  locked by the master; contains its pid
//	DIR/acme/AUTHORITY/account.key            private key of the account, PEM
//	DIR/acme/AUTHORITY/account.json           its URL
//	DIR/acme/AUTHORITY/attempts.json          when each host's certificate was last ordered
//	DIR/acme/AUTHORITY/certificates/HOST.pem  private key, certificate, intermediates
type State struct {
	dir  string
	lock *os.File
}

// OpenState creates the directory if need be, and locks it until Close. Errors are
// [*exitcode.Error].
func OpenState(dir string) (*State, error) {
	if err := prepare(dir); err != nil {
		return nil, unusable(dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(dir, err)
	}
	if err := take(lock); err != nil {
		pid, _ := io.ReadAll(io.LimitReader(lock, 20))
		lock.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, unusable(dir, err)
		}
		return nil, exitcode.New(exitcode.Failure,
			fmt.Sprintf("--state %s: in use by another master (pid %s); stop it or choose another directory", dir, cmp.Or(string(bytes.TrimSpace(pid)), "unknown")), err)
	}
	// The pid is only for the message above. A full disk must not keep a server from starting that
	// has its certificates.
	_ = lock.Truncate(0)
	_, _ = fmt.Fprintf(lock, "%d\n", os.Getpid())
	return &State{dir: dir, lock: lock}, nil
}

// take locks a file. It retries for half a second, because a master that has just been killed
// or upgraded may not have released its lock yet.
func take(lock *os.File) error {
	for try := 0; ; try++ {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || try == 20 || !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// Close unlocks the directory.
func (s *State) Close() error { return s.lock.Close() }

// prepare creates the directory.
func prepare(dir string) error {
	inner := filepath.Join(dir, "acme")
	err := os.MkdirAll(inner, 0o700)
	if err == nil {
		err = os.Chmod(inner, 0o700) // it contains keys, and may have existed before
	}
	if err == nil {
		err = unix.Access(inner, unix.W_OK|unix.X_OK)
	}
	return err
}

// TryState checks that a directory can hold the state. It neither locks nor creates it; if it
// does not exist, its parent must be writable.
func TryState(dir string) error {
	path := filepath.Join(dir, "acme")
	for {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
			path = filepath.Dir(path)
			continue
		}
		if err == nil && !info.IsDir() {
			err = unix.ENOTDIR
		}
		if err == nil {
			err = unix.Access(path, unix.W_OK|unix.X_OK)
		}
		if err != nil {
			return unusable(dir, err)
		}
		return nil
	}
}

func unusable(dir string, err error) error {
	return exitcode.New(exitcode.Config,
		fmt.Sprintf("--state %s: %v; choose a directory that this user can write to", dir, human.Cause(err)), err)
}

// store is the state of one authority.
type store struct{ dir string }

// store returns the state of the authority with the directory URL.
func (s *State) store(directory string) (store, error) {
	_, name, _ := strings.Cut(directory, "://")
	name = strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '_'
	}, name)
	kept := store{filepath.Join(s.dir, "acme", name)}
	if err := os.MkdirAll(filepath.Join(kept.dir, "certificates"), 0o700); err != nil {
		return kept, unusable(s.dir, err)
	}
	return kept, nil
}

// account is an ACME account.
type account struct {
	Location string        `json:"location"` // its URL; empty: not registered yet
	Email    string        `json:"email,omitempty"`
	key      crypto.Signer // never nil
}

// account returns the stored account, or a new one to be registered, whose key it stores.
func (s store) account() (account, error) {
	var a account
	text, err := os.ReadFile(filepath.Join(s.dir, "account.key"))
	if errors.Is(err, fs.ErrNotExist) {
		// The URL is that of the lost key's account.
		if err = os.Remove(filepath.Join(s.dir, "account.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return a, s.unreadable("account.json", err)
		}
		if a.key, text, err = certificate.NewKey(); err == nil {
			err = s.write("account.key", text)
		}
		return a, s.unreadable("account.key", err)
	}
	if err == nil {
		a.key, err = parseKey(text)
	}
	if err != nil {
		return a, s.unreadable("account.key", err)
	}
	text, err = os.ReadFile(filepath.Join(s.dir, "account.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a, nil // the authority returns the URL of the key's account
	case err == nil && json.Unmarshal(text, &a) != nil:
		return account{key: a.key}, nil
	}
	return a, s.unreadable("account.json", err)
}

func (s store) unreadable(name string, err error) error {
	if err == nil {
		return nil
	}
	return exitcode.New(exitcode.Config, fmt.Sprintf("%s: %v; restore it, or delete it for a new account", filepath.Join(s.dir, name), human.Cause(err)), err)
}

func (s store) saveAccount(a account) error { return s.writeJSON("account.json", a) }

// errNotKept is returned for a host without a stored certificate.
var errNotKept = errors.New("no stored certificate")

func (s store) path(host string) string { return filepath.Join("certificates", host+".pem") }

// certificate returns the stored certificate of a host, or errNotKept.
func (s store) certificate(host string) (certificate.Source, error) {
	name := filepath.Join(s.dir, s.path(host))
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return certificate.Source{}, errNotKept
	}
	if err != nil {
		return certificate.Source{}, err
	}
	source := certificate.Source{Name: name}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			source.Chain = append(source.Chain, pem.EncodeToMemory(block)...)
		} else {
			source.Key = append(source.Key, pem.EncodeToMemory(block)...)
		}
	}
	return source, nil
}

// saveCertificate stores key and chain in one file, so that they always match.
func (s store) saveCertificate(host string, c certificate.Source) error {
	return s.write(s.path(host), append(bytes.Clone(c.Key), c.Chain...))
}

// attempts returns the last attempts by host; nil if they cannot be read.
func (s store) attempts() (list map[string]attempt) {
	text, err := os.ReadFile(filepath.Join(s.dir, "attempts.json"))
	if err != nil || json.Unmarshal(text, &list) != nil {
		return nil
	}
	return list
}

func (s store) saveAttempts(list map[string]attempt) error {
	return s.writeJSON("attempts.json", list)
}

func (s store) writeJSON(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.write(name, append(text, '\n'))
}

// write replaces a file atomically. Only one goroutine calls it at a time.
func (s store) write(name string, content []byte) (err error) {
	path := filepath.Join(s.dir, name)
	fresh := filepath.Join(filepath.Dir(path), ".new") // path with a suffix may be too long
	file, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no private key in PEM form")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("a key of an unknown kind")
	}
	return signer, nil
}
