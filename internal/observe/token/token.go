// Package token is the secret of an admin endpoint's operators: who sends it over TCP, as
// a bearer token (RFC 6750), sees all that a unix socket shows.
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Token is a secret, "" for none.
type Token string

const (
	least = 16   // characters, else it could be guessed
	most  = 1024 // bytes of the file
)

// scheme is how the Authorization field begins, in any case.
const scheme = "Bearer "

// Read reads the token from a file, which nobody else may be able to read or write: it is
// what the file has, without the space around it. The error is one line.
func Read(path string) (Token, error) {
	// Opening a FIFO would wait for somebody who writes.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if why, ok := errors.AsType[*fs.PathError](err); ok {
		err = why.Err // the caller names the file
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("it is not a regular file")
	case info.Mode().Perm()&0o027 != 0:
		return "", fmt.Errorf("it has mode %04o, so others can read or change it; run chmod 600 %s", info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", err
	}
	t := strings.TrimSpace(string(text))
	switch {
	case len(text) > most:
		return "", fmt.Errorf("it has more than %d bytes", most)
	case len(t) < least:
		return "", fmt.Errorf("the token has %d characters; make one of at least %d, as with: openssl rand -hex 32", len(t), least)
	case strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", errors.New("the token has spaces or characters beyond ASCII; make one with: openssl rand -hex 32")
	}
	return Token(t), nil
}

// Field returns the value of an Authorization field with the token.
func (t Token) Field() string { return scheme + string(t) }

// Fits reports whether an Authorization field has the token, in a time that says nothing
// about it. No field fits no token.
func (t Token) Fits(field string) bool {
	if t == "" || len(field) < len(scheme) || !strings.EqualFold(field[:len(scheme)], scheme) {
		return false
	}
	want, got := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(strings.TrimSpace(field[len(scheme):])))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
