package share

import (
	"crypto/rand"
	"strings"
)

// letters are easy to tell apart and to dictate. There are 32, so that a random byte selects
// each with the same probability.
const letters = "abcdefghijkmnpqrstuvwxyz23456789"

// NewCredentials returns "user:password" with a password of 80 random bits.
func NewCredentials() string {
	return "guest:" + strings.Join([]string{random(4), random(4), random(4), random(4)}, "-")
}

// NewPrefix returns a path of 120 random bits.
func NewPrefix() string { return "/" + random(24) }

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = letters[b[i]%32]
	}
	return string(b)
}
