package password

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	digest "hash"
	"strconv"
	"strings"

	"github.com/go-crypt/x/crypt"
	"golang.org/x/crypto/bcrypt"
)

// The highest accepted costs: about a second of CPU time for each login.
const (
	maxCost   = 14      // of bcrypt, logarithmic
	minRounds = 1_000   // of SHA-crypt
	maxRounds = 500_000 // the same
)

// hash is the hash of a password.
type hash interface {
	// matches takes constant time for right and wrong passwords.
	matches(password []byte) bool
}

type bcryptHash []byte

func (h bcryptHash) matches(password []byte) bool {
	return bcrypt.CompareHashAndPassword(h, password) == nil
}

// shaHash is SHA-crypt: https://www.akkadia.org/drepper/SHA-crypt.txt.
type shaHash struct {
	digest    func() digest.Hash
	rounds    int
	salt, key []byte
}

func (h shaHash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(crypt.KeySHACrypt(h.digest, password, h.salt, h.rounds), h.key) == 1
}

// parseHash parses a hash. refused continues the sentence "the password ..." if it is refused.
// It does not contain the text, which may be the password itself.
func parseHash(text string) (_ hash, refused string) {
	id, rest, ok := strings.Cut(strings.TrimPrefix(text, "$"), "$")
	if !ok || text[0] != '$' {
		return nil, unsalted(text)
	}
	switch id {
	case "2a", "2b", "2y":
		return parseBcrypt(text, rest)
	case "5":
		return parseSHA(rest, sha256.New, 43)
	case "6":
		return parseSHA(rest, sha512.New, 86)
	case "apr1":
		return nil, "is hashed with MD5 (apr1), which is too weak"
	case "1":
		return nil, "is hashed with MD5-crypt, which is too weak"
	case "2", "2x":
		return nil, "is hashed with a faulty version of bcrypt"
	case "y", "gy", "7":
		return nil, "is hashed with yescrypt or scrypt, which is not supported"
	case "argon2i", "argon2d", "argon2id":
		return nil, "is hashed with Argon2, which is not supported"
	}
	return nil, "is hashed in a way that is not supported"
}

// unsalted returns why a text without the $id$ prefix of a hash is refused.
func unsalted(text string) (refused string) {
	switch {
	case strings.HasPrefix(text, "{SHA}"):
		return "is hashed with SHA-1 without a salt, which is too weak"
	case strings.HasPrefix(text, "{"):
		scheme, _, _ := strings.Cut(text[1:], "}")
		if len(scheme) <= 20 && isCrypt64(scheme) {
			return "is in the scheme {" + scheme + "}, which is not supported"
		}
	case len(text) == 13 && isCrypt64(text):
		return "is hashed with DES (crypt), which is too weak, or not at all"
	case text == "" || text[0] == '!' || text[0] == '*':
		return "is not set"
	}
	return "is not hashed"
}

func parseBcrypt(text, rest string) (_ hash, refused string) {
	cost, tail, _ := strings.Cut(rest, "$")
	n, err := strconv.ParseUint(cost, 10, 8)
	if err != nil || len(cost) != 2 || n < uint64(bcrypt.MinCost) || len(tail) != 53 || !isCrypt64(tail) {
		return nil, "is a damaged bcrypt hash"
	}
	if n > maxCost {
		return nil, fmt.Sprintf("is a bcrypt hash of cost %d, which takes too long to check: at most %d", n, maxCost)
	}
	return bcryptHash(text), ""
}

func parseSHA(rest string, digest func() digest.Hash, size int) (_ hash, refused string) {
	h := shaHash{digest: digest, rounds: 5_000}
	if rounds, after, ok := strings.Cut(strings.TrimPrefix(rest, "rounds="), "$"); strings.HasPrefix(rest, "rounds=") && ok {
		n, err := strconv.ParseUint(rounds, 10, 32)
		switch {
		case err != nil || n < minRounds:
			return nil, "is a damaged SHA-crypt hash"
		case n > maxRounds:
			return nil, fmt.Sprintf("is a SHA-crypt hash of %d rounds, which take too long to check: at most %d", n, maxRounds)
		}
		h.rounds, rest = int(n), after
	}
	salt, key, _ := strings.Cut(rest, "$")
	if len(salt) > 16 || len(key) != size || !isCrypt64(key) {
		return nil, "is a damaged SHA-crypt hash"
	}
	h.salt, h.key = []byte(salt), []byte(key)
	return h, ""
}

// isCrypt64 reports whether s has only the base64 characters of crypt(5).
func isCrypt64(s string) bool {
	return strings.Trim(s, "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}
