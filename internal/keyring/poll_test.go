package keyring

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"phalanx/internal/certificate"
)

// The new certificate is used once the file is complete, in whatever way it is replaced.
func TestReplaced(t *testing.T) {
	for name, replace := range map[string]func(p Pair, src certificate.Source){
		"in place": func(p Pair, src certificate.Source) { p.write(t, src) },
		"by renaming": func(p Pair, src certificate.Source) {
			for path, text := range map[string][]byte{p.Certificate: src.Chain, p.Key: src.Key} {
				write(t, path+".new", text)
				if err := os.Rename(path+".new", path); err != nil {
					t.Fatal(err)
				}
			}
		},
		"by removing": func(p Pair, src certificate.Source) {
			os.Remove(p.Certificate)
			os.Remove(p.Key)
			p.write(t, src)
		},
		"by a symbolic link": func(p Pair, src certificate.Source) {
			to := files(t, src)
			for old, path := range map[string]string{p.Certificate: to.Certificate, p.Key: to.Key} {
				os.Remove(old)
				if err := os.Symlink(path, old); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := files(t, issue(t, "a.test", start, 90*day))
			r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
			before := r.chain(0)
			r.polls()
			r.hasChanged(false)
			src := issue(t, "b.test", start, 90*day)
			replace(p, src)
			r.polls()
			r.hasChanged(true)
			if got := r.chain(0); got == before || got != string(src.Chain) {
				t.Error("the new certificate is not used")
			}
			r.expectAlerts()
			r.polls()
			r.hasChanged(false)
		})
	}
}

// Kubernetes changes all files of a volume at once: it renames a symbolic link to the
// directory through which each file is reached.
func TestReplacedByKubernetes(t *testing.T) {
	dir := t.TempDir()
	volume := func(n int, src certificate.Source) {
		name := fmt.Sprintf("..%d", n)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "tls.crt"), src.Chain)
		write(t, filepath.Join(dir, name, "tls.key"), src.Key)
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	volume(1, issue(t, "a.test", start, 90*day))
	p := Pair{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	for _, path := range []string{p.Certificate, p.Key} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(path)), path); err != nil {
			t.Fatal(err)
		}
	}
	r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
	src := issue(t, "b.test", start, 90*day)
	volume(2, src)
	r.polls()
	if r.chain(0) != string(src.Chain) {
		t.Error("the new certificate is not used")
	}
	r.expectAlerts()
}

// An invalid certificate is reported once, and the previous one stays in use until there is a
// valid one.
func TestInvalidCertificateIsReportedOnce(t *testing.T) {
	src := issue(t, "a.test", start, 90*day)
	p := files(t, src)
	r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
	other := issue(t, "a.test", start, 90*day)
	stays := "; the current one stays in use"
	for _, c := range []struct {
		damage func()
		want   string
	}{
		{func() { write(t, p.Key, other.Key) },
			`certificate "` + p.Certificate + `": the private key does not belong to the certificate (key "` + p.Key + `")` + stays},
		{func() { write(t, p.Certificate, []byte("nothing")) }, `certificate "` + p.Certificate + `": no certificate in PEM form (key "` + p.Key + `")` + stays},
		{func() { os.Remove(p.Certificate) }, `certificate "` + p.Certificate + `": no such file or directory` + stays},
		{func() { os.Mkdir(p.Certificate, 0o700) }, `certificate "` + p.Certificate + `": not a regular file` + stays},
		{func() { os.Remove(p.Certificate); p.write(t, issue(t, "a.test", start.Add(-20*day), 10*day)) },
			`certificate "` + p.Certificate + `": it expired on 2026-11-16T00:00:00Z; renew it` + stays},
		{func() { write(t, p.Certificate, make([]byte, maxFile+1)) }, `certificate "` + p.Certificate + `": larger than 1048576 bytes` + stays},
	} {
		c.damage()
		r.poll()
		r.expectAlerts()
		r.polls()
		r.expectAlerts(c.want)
		if r.chain(0) != string(src.Chain) {
			t.Errorf("%s: the previous certificate is not used", c.want)
		}
		if got := r.Refused(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("refused: %q, want %q", got, c.want)
		}
	}
	p.write(t, other)
	r.polls()
	if got := r.Refused(); r.chain(0) != string(other.Chain) || len(got) > 0 {
		t.Errorf("the valid certificate is not used; refused: %q", got)
	}
	r.expectAlerts()
}

// A certificate that is not valid yet is used once it is valid, without another line.
func TestRefusedForNow(t *testing.T) {
	p := files(t, issue(t, "a.test", start, 90*day))
	r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
	src := issue(t, "a.test", start.Add(2*time.Hour), 90*day) // valid from an hour before
	p.write(t, src)
	r.polls()
	r.expectAlerts(`certificate "` + p.Certificate + `": it is not valid before 2026-11-26T01:00:00Z; the current one stays in use`)
	for range 100 {
		r.now = r.now.Add(time.Minute)
		r.poll()
	}
	r.expectAlerts()
	if r.chain(0) != string(src.Chain) {
		t.Error("the new certificate is not used")
	}
}

// An invalid certificate does not prevent the renewal of another one.
func TestRefusedAlone(t *testing.T) {
	a, b := files(t, issue(t, "a.test", start, 90*day)), files(t, issue(t, "b.test", start, 90*day))
	r := newRing(t, Settings{Pairs: []Pair{a, b}}, nil)
	before := r.chain(0)
	src := issue(t, "b.test", start, 90*day)
	os.Remove(a.Key)
	b.write(t, src)
	r.polls()
	r.expectAlerts(`key "` + a.Key + `" of certificate "` + a.Certificate + `": no such file or directory; the current one stays in use`)
	if r.chain(0) != before || r.chain(1) != string(src.Chain) {
		t.Error("the valid certificate is not used, or the invalid one is")
	}
}

// A file that is being written is not used.
func TestBeingWritten(t *testing.T) {
	p := files(t, issue(t, "a.test", start, 90*day))
	r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
	src := issue(t, "b.test", start, 90*day)
	write(t, p.Key, src.Key)
	for n := range 5 {
		write(t, p.Certificate, src.Chain[:100*(n+1)])
		r.poll()
	}
	write(t, p.Certificate, src.Chain)
	r.polls()
	r.expectAlerts()
	if r.chain(0) != string(src.Chain) {
		t.Error("the new certificate is not used")
	}
}

// Client CAs are polled like certificates.
func TestAuthorityReplaced(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, issue(t, "ca.test", start, 90*day).Chain)
	r := newRing(t, Settings{ClientCA: ca}, nil)
	src := issue(t, "other.test", start, 90*day)
	write(t, ca, src.Key)
	r.polls()
	r.expectAlerts(`client CA "` + ca + `": it contains a PRIVATE KEY; it must contain certificates only; the current one stays in use`)
	before := r.bundle().TicketKeys
	write(t, ca, src.Chain)
	r.polls()
	r.expectAlerts()
	got := r.bundle()
	if string(got.ClientCA) != string(src.Chain) {
		t.Error("the new client CA is not used")
	}
	// Clients of the previous CA cannot resume a session.
	if slices.ContainsFunc(got.TicketKeys, func(key [32]byte) bool { return slices.Contains(before, key) }) {
		t.Error("the ticket keys are the same")
	}
	state := r.State()
	if k := r.again(Settings{ClientCA: ca}, state); k.tickets.keys[0] != got.TicketKeys[0] {
		t.Error("an upgrade has changed the ticket keys")
	}
	write(t, ca, issue(t, "third.test", start, 90*day).Chain)
	if k := r.again(Settings{ClientCA: ca}, state); k.tickets.keys[0] == got.TicketKeys[0] {
		t.Error("an upgrade with another client CA keeps the ticket keys")
	}
}

// A reload uses other files, and does not refuse a certificate in use because it has expired.
func TestReloadUsesOtherFiles(t *testing.T) {
	old := files(t, issue(t, "old.test", start.Add(-10*day), 11*day))
	r := newRing(t, Settings{Pairs: []Pair{old}, SelfSigned: true}, nil)
	r.now = start.Add(2 * day)
	r.poll()
	r.alerts = nil
	self := r.chain(1)
	again := r.load(Settings{Pairs: []Pair{old}, SelfSigned: true})
	if err := r.Check(again); err != nil {
		t.Error(err)
	}
	expired := files(t, issue(t, "other.test", start.Add(-10*day), 5*day))
	if err := r.Check(r.load(Settings{Pairs: []Pair{expired}})); err == nil {
		t.Error("a new certificate that has expired is accepted")
	}
	if err := r.Use(again); err != nil || r.chain(1) != self {
		t.Errorf("the self-signed certificate has changed; %v", err)
	}
	r.expectAlerts()
	src := issue(t, "fresh.test", start, 90*day)
	fresh := files(t, src)
	if err := r.Use(r.load(Settings{Pairs: []Pair{fresh}})); err != nil {
		t.Fatal(err)
	}
	if got := r.bundle().Certificates; len(got) != 1 || string(got[0].Chain) != string(src.Chain) {
		t.Errorf("%+v", got)
	}
	old.write(t, src)
	renewed := issue(t, "fresh.test", start, 90*day)
	fresh.write(t, renewed)
	r.polls()
	if r.chain(0) != string(renewed.Chain) {
		t.Error("the files of the reload are not polled")
	}
}

func TestPermissions(t *testing.T) {
	p := files(t, issue(t, "a.test", start, 90*day))
	os.Chmod(p.Key, 0o644)
	r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
	r.expectAlerts(`key "` + p.Key + `" can be read by every user of this machine; chmod 600 it, or 640 for a group`)
	r.polls()
	p.write(t, issue(t, "a.test", start, 90*day))
	r.polls()
	r.expectAlerts()
	os.Chmod(p.Key, 0o640)
	r = newRing(t, Settings{Pairs: []Pair{p}}, nil)
	r.expectAlerts()
}

// The files are polled until the keyring stops.
func TestFilesArePolled(t *testing.T) {
	p := files(t, issue(t, "a.test", time.Now(), 90*day))
	loaded, err := Load(Settings{Pairs: []Pair{p}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	// There may be an alert about a pair that stays half written for long.
	k, err := New(Config{Alert: func(string) {}}, loaded, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.Start()
	p.write(t, issue(t, "b.test", time.Now(), 90*day))
	<-k.Changed()
	if got := k.List()[0].Names[0]; got != "b.test" {
		t.Error(got)
	}
	k.Stop()
}
