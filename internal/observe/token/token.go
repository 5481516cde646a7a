// Package token reads and compares the bearer token (RFC 6750) of an admin endpoint.
// Requests over TCP that carry it see everything that the unix socket shows.
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"phalanx/internal/smallfile"
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
	text, mode, err := smallfile.Read(path, most)
	switch {
	case err != nil:
		return "", err
	case mode&0o027 != 0:
		return "", fmt.Errorf("it has mode %04o, so others can read or change it; run chmod 600 %s", mode, path)
	}
	t := strings.TrimSpace(string(text))
	switch {
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
