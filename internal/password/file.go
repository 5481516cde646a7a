// Package password checks the credentials of clients for protected parts of a site.
//
// A [File] is the content of an htpasswd(1) file with bcrypt or SHA-crypt hashes, parsed from
// bytes; this package reads no files. A [Checker] checks credentials against files, one hash
// at a time, in a goroutine of its own, so that its callers do not block. It caches right
// credentials for a while and limits wrong ones per client.
package password

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"phalanx/internal/human"
)

// MaxFile is the size of the largest file in bytes, enough for about ten thousand users.
const MaxFile = 1 << 20

// MaxCredentials is the largest length of user name and password with the colon between them,
// in bytes. htpasswd accepts 255 bytes each. The cost of SHA-crypt grows with the length of
// the password.
const (
	MaxCredentials = 511
	maxPassword    = 255
)

// File has the users of one file. It is immutable.
type File struct {
	users  map[string]hash
	hashes []hash            // of all users
	secret [sha256.Size]byte // SHA-256 of the file
}

// Parse parses the text of a file; name is for errors. Each line is NAME:HASH, optionally
// followed by a colon and a comment. Empty lines and those that begin with "#" are skipped.
// An error says what is wrong with which line, and what to do, without the line.
func Parse(name string, text []byte) (*File, error) {
	f := &File{users: map[string]hash{}, secret: sha256.Sum256(text)}
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%s: larger than %s", name, human.Bytes(MaxFile))
	}
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		n++
		line := strings.TrimRight(string(line), "\r\n")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		if reason := f.add(name, line); reason != "" {
			return nil, fmt.Errorf("%s:%d: %s", name, n, reason)
		}
	}
	if len(f.users) == 0 {
		return nil, fmt.Errorf("%[1]s: it has no users; add one with: htpasswd -B %[1]s NAME", name)
	}
	return f, nil
}

// add adds the user of a line, or returns what is wrong with the line.
func (f *File) add(file, line string) (reason string) {
	user, rest, ok := strings.Cut(line, ":")
	text, comment, _ := strings.Cut(rest, ":")
	_, known := f.users[user]
	switch {
	case !ok:
		return "must be NAME:HASH, as htpasswd -B writes it"
	case user == "" || user != strings.TrimSpace(user):
		return "the user name is empty, or has a space before or after it"
	case !utf8.ValidString(user):
		return "the user name is not in UTF-8"
	case strings.ContainsFunc(user, unicode.IsControl):
		return "the user name has a control character"
	case strings.HasPrefix(comment, "$"):
		return "a user name must not have a colon (RFC 7617 §2)"
	case known:
		return "the user " + human.Quoted(user) + " is listed twice; remove one of the lines"
	}
	h, reason := parseHash(text)
	if reason != "" {
		return fmt.Sprintf("the password of %s %s; set it again with: htpasswd -B %s %s", human.Quoted(user), reason, file, user)
	}
	f.users[user] = h
	f.hashes = append(f.hashes, h)
	return ""
}

// matches reports whether the file has the user with the password. For an unknown user it
// computes the hash of another user, always the same one, so that timing does not reveal which
// users exist.
func (f *File) matches(user string, password []byte) bool {
	h, known := f.users[user]
	if !known {
		d := sha256.Sum256(append(f.secret[:len(f.secret):len(f.secret)], user...))
		h = f.hashes[binary.BigEndian.Uint64(d[:])%uint64(len(f.hashes))]
	}
	return h.matches(password) && known
}
