package acme

import (
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"

	protocol "github.com/mholt/acmez/v3/acme"
	"golang.org/x/sys/unix"
)

// Binding is an external account binding (RFC 8555 §7.3.4).
type Binding protocol.EAB

// ReadBinding reads a file with a key identifier and a base64url MAC key, separated by white
// space.
func ReadBinding(name string) (*Binding, error) {
	text, err := readBinding(name)
	if err != nil {
		return nil, err
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

// readBinding reads the file. It does not wait for the writer of a pipe.
func readBinding(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("read " + name + ": it is not a regular file")
	}
	return io.ReadAll(io.LimitReader(f, maxBinding))
}
