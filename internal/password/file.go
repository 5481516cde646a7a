// Package password knows who may see the protected parts of a site.
//
// A [File] is what htpasswd(1) writes: users with the hashes of their passwords, of the kinds
// that withstand guessing. Bytes become a File, or an [Error] with a line; no file is read
// here. A [Checker] checks the credentials of clients against files: one hash at a time, in
// a goroutine of its own, so that whoever asks never waits. It remembers for a while what
// was right, and counts what was wrong for each client.
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

// MaxFile is the size in bytes of the largest file: some ten thousand users.
const MaxFile = 1 << 20

// MaxCredentials is how many bytes user name and password may have, with the colon between
// them. htpasswd takes 255 of each. SHA-crypt takes longer the longer a password is.
const (
	MaxCredentials = 511
	maxPassword    = 255
)

// File has the users of one file. It is immutable.
type File struct {
	users  map[string]hash
	hashes []hash            // of all users
	secret [sha256.Size]byte // known to those who know the hashes
}

// Error is why a file cannot be used.
type Error struct {
	Name   string // of the file
	Line   int    // from 1; 0: all of it
	Reason string // what is wrong, and what to do
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Name, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.Name, e.Line, e.Reason)
}

// Parse reads the text of a file, whose name is for errors. Each line is NAME:HASH, perhaps
// with another colon and a comment behind it; empty lines and those that begin with "#" are
// skipped. The error is an [*Error].
func Parse(name string, text []byte) (*File, error) {
	f := &File{users: map[string]hash{}, secret: sha256.Sum256(text)}
	if len(text) > MaxFile {
		return nil, &Error{name, 0, fmt.Sprintf("larger than %s", human.Bytes(MaxFile))}
	}
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		n++
		line := strings.TrimRight(string(line), "\r\n")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		if reason := f.add(name, line); reason != "" {
			return nil, &Error{name, n, reason}
		}
	}
	if len(f.users) == 0 {
		return nil, &Error{name, 0, "it has no users; add one with: htpasswd -B " + name + " NAME"}
	}
	return f, nil
}

// Users returns how many users there are.
func (f *File) Users() int { return len(f.users) }

// add takes a line, or returns why it cannot.
func (f *File) add(file, line string) (reason string) {
	user, rest, ok := strings.Cut(line, ":")
	text, comment, _ := strings.Cut(rest, ":")
	_, known := f.users[user]
	switch {
	case !ok:
		return "must be NAME:HASH, as htpasswd -B writes it"
	case user == "" || user != strings.TrimSpace(user):
		return "the user name is empty, or has a space before or behind it"
	case !utf8.ValidString(user):
		return "the user name is not in UTF-8"
	case strings.ContainsFunc(user, unicode.IsControl):
		return "the user name has a control character"
	case strings.HasPrefix(comment, "$"):
		return "a user name has no colon (RFC 7617 §2)"
	case known:
		return "the user " + human.Quoted(user) + " is there twice; remove one of the lines"
	}
	h, reason := parseHash(text)
	if reason != "" {
		return fmt.Sprintf("the password of %s %s; set it again with: htpasswd -B %s %s", human.Quoted(user), reason, file, user)
	}
	f.users[user] = h
	f.hashes = append(f.hashes, h)
	return ""
}

// matches reports whether the file has a user with this password. For an unknown user it
// computes the hash of another one, always the same one, so that timing does not reveal
// which users exist, even if the costs of hashes differ.
func (f *File) matches(user string, password []byte) bool {
	h, known := f.users[user]
	if !known {
		d := sha256.Sum256(append(f.secret[:len(f.secret):len(f.secret)], user...))
		h = f.hashes[binary.BigEndian.Uint64(d[:])%uint64(len(f.hashes))]
	}
	return h.matches(password) && known
}
