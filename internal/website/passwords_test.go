package website

import (
	"net/netip"
	"reflect"
	"testing"

	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// bcrypt of cost 4: the password of both is pw-prefix-a.
const hashes = "prefix-a:$2a$04$vDwmXk6G6wQMhIUhoNikWOsGHGTfqtK4oZTHrjZOcSiWkwqKJNYO6\n"

// Each file is a realm, named after the first pattern that uses it.
func TestPasswords(t *testing.T) {
	o := parse(t, "--auth", "a/**=one", "--auth", `b"\ö=two`, "--auth", "c=one")
	want := []site.Area{{Pattern: "a/**"}, {Pattern: `b"\ö`, Realm: 1}, {Pattern: "c"}}
	if got := Policy(o).Areas; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	p := NewPasswords(o)
	defer p.Close()
	if p.Realm(0) != "a/**" || p.Realm(1) != "b___" {
		t.Errorf("realms %q, %q", p.Realm(0), p.Realm(1))
	}
	if err := p.Use("one", []byte(hashes)); err != nil || p.Use("unknown", nil) != nil || p.Use("two", []byte("a:b")) == nil {
		t.Errorf("%v", err)
	}
	if err := p.Ready(); err == nil || err.Error() != `password file "two": the master has not read it` {
		t.Errorf("%v", err)
	}
	if err := p.Use("two", []byte("x"+hashes)); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	for credentials, want := range map[string]proto.Status{"prefix-a:pw-prefix-a": 200, "prefix-a:wrong": 401} {
		status, _, check := p.Check(0, []byte(credentials), netip.Addr{})
		if check == nil || status != 0 {
			t.Fatalf("%d at once", status)
		}
		done := make(chan struct{})
		if check.Await(func() { close(done) }) {
			<-done
		}
		if got := check.Status(); got != want {
			t.Errorf("%s: %d, want %d", credentials, got, want)
		}
		check.Close()
	}
	if status, _, check := p.Check(0, []byte("prefix-a:pw-prefix-a"), netip.Addr{}); status != 200 || check != nil {
		t.Errorf("remembered: %d", status)
	}
	if NewPasswords(parse(t)) != nil || Policy(parse(t)).Areas != nil {
		t.Error("something is protected without --auth")
	}
}
