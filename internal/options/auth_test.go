package options

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"phalanx/internal/listen"
)

func TestAuth(t *testing.T) {
	for v, want := range map[string]AuthRule{
		"private/**=/etc/htpasswd": {"private/**", "/etc/htpasswd"}, "/private/ = a=b ": {"private", "a=b"}, "*.pdf=x": {"*.pdf", "x"}, "/=x": {"**", "x"}, "ä*=ö": {"ä*", "ö"},
	} {
		o, err := parseMaster([]string{"--auth", v}, noEnv)
		if err != nil || !slices.Equal(o.Auth, []AuthRule{want}) {
			t.Errorf("%q: %+v %v, want %+v", v, o.Auth, err, want)
		}
		if back, err := ParseWorker(o.WorkerArgs(0, -1)); err != nil || !reflect.DeepEqual(back.Auth, o.Auth) {
			t.Errorf("%q: the worker has %+v %v", v, back.Auth, err)
		}
	}
	for v, want := range map[string]string{
		"": "must be GLOB=FILE", "private": "must be GLOB=FILE", "private=": "must be GLOB=FILE", "=x": "must be GLOB=FILE", "a=x\n": "must be GLOB=FILE", "[=x": "malformed",
	} {
		if _, err := parseMaster([]string{"--auth", v}, noEnv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", v, err, want)
		}
	}
	var args []string
	for i := range 65 {
		args = append(args, "--auth", fmt.Sprintf("%d=file%d", i, i), "--auth", fmt.Sprintf("x%d=file%d", i, i))
	}
	if _, err := parseMaster(args, noEnv); err == nil || err.Error() != "--auth: names 65 files; the limit is 64" {
		t.Errorf("%v", err)
	}
	o, err := parseMaster(args[:len(args)-4], noEnv)
	if err != nil || len(o.PasswordFiles()) != 64 || o.PasswordFiles()[63] != "file63" {
		t.Errorf("%v, %q", err, o.PasswordFiles())
	}
}

// A password file in the document root is refused, in whatever way it gets there.
func TestPasswordFileInRoot(t *testing.T) {
	base, outside := t.TempDir(), t.TempDir()
	touch(t, base+"/htpasswd", outside+"/htpasswd")
	if err := os.Symlink(base+"/htpasswd", outside+"/link"); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{base + "/htpasswd": true, outside + "/link": true, base + "/none": true, outside + "/htpasswd": false} {
		err := Options{Base: Base(base), Auth: []AuthRule{{"x", file}}}.CheckKeys()
		if got := err != nil && strings.Contains(err.Error(), "move it elsewhere"); got != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// There is a warning about passwords in cleartext where others could read them.
func TestInClear(t *testing.T) {
	plain, secure := listen.Address{Port: 80}, listen.Address{Port: 443, Secure: true}
	here, socket := listen.Address{Host: "127.0.0.1", Port: 80}, listen.Address{Path: "/run/s"}
	auth := Options{Plain: PlainRedirect, Auth: []AuthRule{{"x", "y"}}}
	both := auth
	both.Plain = PlainServe
	for _, tt := range []struct {
		o    Options
		at   []listen.Address
		want string
	}{
		{auth, []listen.Address{plain}, "http://:80"},
		{auth, []listen.Address{here, socket, {Host: "::1"}}, ""},
		{auth, []listen.Address{here, {Host: "192.0.2.1", Port: 8080}}, "http://192.0.2.1:8080"},
		{auth, []listen.Address{plain, secure}, ""},
		{auth, []listen.Address{secure}, ""},
		{both, []listen.Address{secure, plain}, "http://:80"},
		{Options{}, []listen.Address{plain}, ""},
		{Options{Auth: auth.Auth, TrustedProxies: make([]Networks, 1)}, []listen.Address{plain}, ""},
	} {
		if got := tt.o.InClear(tt.at); got != tt.want {
			t.Errorf("%v with --plain %s: %q, want %q", tt.at, tt.o.Plain, got, tt.want)
		}
	}
}
