package share

import (
	"crypto/rand"
	"strings"
)

// letters are easy to tell apart and to dictate: 32 of them, so that a random byte
// picks each with the same chance.
const letters = "abcdefghijkmnpqrstuvwxyz23456789"

// NewCredentials makes up a user name and a password of 80 random bits, as
// "user:password".
func NewCredentials() string {
	return "guest:" + strings.Join([]string{random(4), random(4), random(4), random(4)}, "-")
}

// NewPrefix makes up a path of 120 random bits.
func NewPrefix() string { return "/" + random(24) }

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = letters[b[i]%32]
	}
	return string(b)
}
