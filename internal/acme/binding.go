package acme

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	protocol "github.com/mholt/acmez/v3/acme"

	"phalanx/internal/smallfile"
)

// Binding is an external account binding (RFC 8555 §7.3.4).
type Binding protocol.EAB

// ReadBinding reads a file with a key identifier and a base64url MAC key, separated by white
// space.
func ReadBinding(name string) (*Binding, error) {
	text, _, err := smallfile.Read(name, maxBinding)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return nil, errors.New("read " + name + ": must have two words, the identifier and the key that the authority has issued")
	}
	key := strings.TrimRight(words[1], "=")
	if _, err := base64.RawURLEncoding.DecodeString(key); err != nil {
		return nil, errors.New("read " + name + ": the second word must be the key in base64url, as the authority has issued it")
	}
	return &Binding{KeyID: words[0], MACKey: key}, nil
}

// maxBinding is the largest size of a file with a binding, in bytes.
const maxBinding = 16 << 10
