package password

import (
	"os"
	"strings"
	"testing"
)

// The output of htpasswd and openssl is accepted. The file says how it was made.
func TestParse(t *testing.T) {
	text, err := os.ReadFile("testdata/htpasswd")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as it is": string(text), "with CRLF": strings.ReplaceAll(string(text), "\n", "\r\n"), "with a mark of UTF-8": "\ufeff" + string(text),
		"with empty lines": "\n \n#x\n" + string(text) + "\n", "without a newline": strings.TrimSuffix(string(text), "\n"),
	} {
		f, err := Parse("htpasswd", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(f.users) != 11 {
			t.Errorf("%s: %d users", name, len(f.users))
		}
		for user := range f.users {
			right := "pw-" + user
			if user == "long" {
				right = "pw-" + strings.Repeat("0", 199) + "7"
			}
			for password, want := range map[string]bool{right: true, right + " ": false, "": false, strings.ToUpper(right): false} {
				if got := f.matches(user, []byte(password)); got != want {
					t.Errorf("%s: %q with %q: %v", name, user, password, got)
				}
			}
		}
	}
}

const good = "$2y$04$Pq1Mq8gq9dGXm3Zr8hHcRe5Y2c8Rz8Qpb1dVYdK0x1w3wYc1fM0sK"

// An error has the line number, and never contains the line.
func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"ann:$apr1$abc$NKxAkoTtUloZMd1uGIvNG0", "is hashed with MD5 (apr1), which is too weak; set it again with: htpasswd -B f ann"},
		{"ann:$1$abc$Kb85XxsXB.VXinPhbS4431", "MD5-crypt"},
		{"ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1 without a salt"},
		{"ann:{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "the scheme {SSHA}"},
		{"ann:rqXexS6ZhobKA", "DES"},
		{"ann:hunter2", "is not hashed"},
		{"ann:{hunter two}", "is not hashed"},
		{"ann:{hunter2", "the scheme {hunter2}"},
		{"ann:", "is not set"},
		{"ann:!", "is not set"},
		{"ann:$y$j9T$abc$def", "yescrypt"},
		{"ann:$argon2id$v=19$m=65536,t=3,p=4$abc$def", "Argon2"},
		{"ann:$9$abc", "not supported"},
		{"ann:$2x" + good[3:], "faulty"},
		{"ann:$2y$15" + good[6:], "cost 15, which takes too long to check: at most 14"},
		{"ann:$2y$31" + good[6:], "cost 31"},
		{"ann:$2y$03" + good[6:], "damaged bcrypt"},
		{"ann:" + good + "x", "damaged bcrypt"},
		{"ann:$2y$04$short", "damaged bcrypt"},
		{"ann:$2y$+4" + good[6:], "damaged bcrypt"},
		{"ann:$6$rounds=500001$abc$" + strings.Repeat("a", 86), "500001 rounds, which take too long to check: at most 500000"},
		{"ann:$6$rounds=999$abc$" + strings.Repeat("a", 86), "damaged SHA-crypt"},
		{"ann:$6$rounds=x$abc$" + strings.Repeat("a", 86), "damaged SHA-crypt"},
		{"ann:$6$rounds=4294967295$abc$" + strings.Repeat("a", 86), "4294967295 rounds"},
		{"ann:$6$rounds=99999999999999999999$abc$" + strings.Repeat("a", 86), "damaged SHA-crypt"},
		{"ann:$6$abc$" + strings.Repeat("a", 85), "damaged SHA-crypt"},
		{"ann:$5$" + strings.Repeat("a", 17) + "$" + strings.Repeat("a", 43), "damaged SHA-crypt"},
		{"ann", "must be NAME:HASH"},
		{":" + good, "user name is empty"},
		{" ann:" + good, "space before"},
		{"an\xff:" + good, "UTF-8"},
		{"an\tn:" + good, "control character"},
		{"a:nn:" + good, "must not have a colon"},
		{"ok:" + good, "the user ok is listed twice"},
	} {
		_, err := Parse("f", []byte("# first\nok:"+good+"\n"+tt.line+"\n"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "f:3: ") {
			t.Fatalf("%q: %v, want %q", tt.line, err, tt.want)
		}
		if strings.Contains(err.Error(), "hunter2") && !strings.Contains(tt.line, "{hunter2") {
			t.Errorf("%q: the password is repeated: %v", tt.line, err)
		}
	}
	for text, want := range map[string]string{"": "f: it has no users", "# nobody\n": "f: it has no users", strings.Repeat("#", MaxFile+1): "f: larger than 1.05 MB"} {
		if _, err := Parse("f", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// For an unknown user the same hash is computed each time. Which one depends on the name, so
// that the time reveals nothing.
func TestUnknownUser(t *testing.T) {
	f := &File{users: map[string]hash{}}
	computed := map[hash]string{}
	for _, name := range []string{"a", "b"} {
		h := &countedHash{note: func(h hash, password string) { computed[h] = password }}
		f.users[name], f.hashes = h, append(f.hashes, h)
	}
	chosen := map[hash]int{}
	for i := range 40 {
		user := strings.Repeat("x", i+1)
		for range 2 {
			clear(computed)
			if f.matches(user, []byte("right")) || len(computed) != 1 {
				t.Fatalf("%s: accepted, or %d hashes computed", user, len(computed))
			}
			for h := range computed {
				chosen[h]++
			}
		}
	}
	if len(chosen) != 2 || chosen[f.hashes[0]]%2 != 0 {
		t.Errorf("chosen: %v", chosen)
	}
}

type countedHash struct{ note func(hash, string) }

func (h *countedHash) matches(password []byte) bool {
	h.note(h, string(password))
	return string(password) == "right"
}

// FuzzParse parses any file, and checks a password with what came of it.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/htpasswd")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, line := range []string{"a:b:$", "a:$6$rounds=1000$$", "a:$2y$04$", "\ufeff#\n\r\n", "a:{SHA}"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("f", text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Fatalf("%q", err)
			}
			return
		}
		if len(file.users) == 0 || len(file.hashes) != len(file.users) {
			t.Fatalf("%d users, %d hashes", len(file.users), len(file.hashes))
		}
		for user, h := range file.users {
			if strings.ContainsAny(user, ":\n\x00") {
				t.Fatalf("user %q", user)
			}
			switch h := h.(type) {
			case bcryptHash:
				if len(h) != 60 {
					t.Fatalf("bcrypt hash %q", h)
				}
			case shaHash:
				if h.rounds < minRounds || h.rounds > maxRounds {
					t.Fatalf("%d rounds", h.rounds)
				}
			}
		}
	})
}
