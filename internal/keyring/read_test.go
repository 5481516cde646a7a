package keyring

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	a, b := issue(t, "a.test", start, 90*day), issue(t, "b.test", start, 90*day)
	path := func(name string, text []byte) string {
		name = filepath.Join(dir, name)
		write(t, name, text)
		return name
	}
	cert, key, other := path("cert", a.Chain), path("key", a.Key), path("other", b.Key)
	ca, damaged := path("ca", slices.Concat(a.Chain, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))), path("damaged", []byte("x"))
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "absent")
	for want, s := range map[string]Settings{
		`certificate "absent": no such file or directory`:                                             {Pairs: []Pair{{absent, key}}},
		`key "absent" of certificate "cert": no such file or directory`:                               {Pairs: []Pair{{cert, absent}}},
		`certificate "cert": the private key does not belong to the certificate (key "other")`:        {Pairs: []Pair{{cert, key}, {cert, other}}},
		`certificate "cert": no private key in PEM form; name the file of the key with --tls-key`:     {Pairs: []Pair{{cert, cert}}},
		`password file "absent": no such file or directory; create it with: htpasswd -cB absent NAME`: {Passwords: []string{absent}},
		`certificate "fifo": not a regular file`:                                                      {Pairs: []Pair{{fifo, key}}},
		`client CA "absent": no such file or directory`:                                               {ClientCA: absent},
		`client CA "damaged": no certificate in PEM form`:                                             {ClientCA: damaged},
		`client CA "key": it contains a PRIVATE KEY; it must contain certificates only`:               {ClientCA: key},
		`client CA "ca": certificate 2: x509: malformed certificate`:                                  {ClientCA: ca},
	} {
		_, err := Load(s, start)
		if err == nil || strings.ReplaceAll(err.Error(), dir+"/", "") != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// A key that this process cannot read is refused with the system's error.
func TestLoadUnreadable(t *testing.T) {
	p := files(t, issue(t, "a.test", start, 90*day))
	if err := os.Chmod(p.Key, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Settings{Pairs: []Pair{p}}, start)
	if os.Geteuid() == 0 { // root may
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.HasSuffix(err.Error(), ": permission denied") {
		t.Error(err)
	}
}

func TestOwnNames(t *testing.T) {
	var addresses []net.Addr
	for _, text := range []string{"127.0.0.1/8", "192.168.1.7/24", "::1/128", "fe80::1/64", "fd00::7/64"} {
		ip, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, &net.IPNet{IP: ip, Mask: network.Mask})
	}
	for host, want := range map[string][]string{
		"Box":        {"localhost", "box", "box.local", "127.0.0.1", "::1", "192.168.1.7", "fd00::7"},
		"www.a.test": {"localhost", "www.a.test", "127.0.0.1", "::1", "192.168.1.7", "fd00::7"},
		"":           {"localhost", "127.0.0.1", "::1", "192.168.1.7", "fd00::7"},
		"a_host":     {"localhost", "127.0.0.1", "::1", "192.168.1.7", "fd00::7"},
		"localhost":  {"localhost", "127.0.0.1", "::1", "192.168.1.7", "fd00::7"},
	} {
		if got := ownNames(host, addresses); !slices.Equal(got, want) {
			t.Errorf("%q: %q", host, got)
		}
	}
	if got := ownNames("", slices.Repeat(addresses, 100)); len(got) != maxNames {
		t.Errorf("%d names", len(got))
	}
}
