// Package token reads and compares the bearer token (RFC 6750) of an admin endpoint.
// Requests over TCP that carry it see everything that the unix socket shows.
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
	least = 16   // characters; a shorter token could be guessed
	most  = 1024 // bytes of the file
)

// scheme begins the Authorization field; its case does not matter.
const scheme = "Bearer "

// Read reads the token from a file: its content without surrounding white space. A file
// that others can access, or that its group can write, is refused. The error is one line
// that does not name the file.
func Read(path string) (Token, error) {
	// Without O_NONBLOCK, opening a FIFO would wait for a writer.
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
		return "", fmt.Errorf("the token has %d characters; make one of at least %d with: openssl rand -hex 32", len(t), least)
	case strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", errors.New("the token has spaces or characters beyond ASCII; make one with: openssl rand -hex 32")
	}
	return Token(t), nil
}

// Field returns the value of an Authorization field with the token.
func (t Token) Field() string { return scheme + string(t) }

// Matches reports whether an Authorization field carries the token, in constant time. No
// field matches the empty token.
func (t Token) Matches(field string) bool {
	if t == "" || len(field) < len(scheme) || !strings.EqualFold(field[:len(scheme)], scheme) {
		return false
	}
	want, got := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(strings.TrimSpace(field[len(scheme):])))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
