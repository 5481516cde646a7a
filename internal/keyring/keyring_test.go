package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/certificate"
	"phalanx/internal/ipc"
)

var start = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

// ring is a test's keyring, with its clock and its alerts.
type ring struct {
	*Keyring
	t      *testing.T
	now    time.Time
	alerts []string
	log    bytes.Buffer
}

func newRing(t *testing.T, s Settings, before *State) *ring {
	t.Helper()
	r := &ring{t: t, now: start}
	r.Keyring = r.again(s, before)
	return r
}

// again creates another keyring, as a new program does.
func (r *ring) again(s Settings, before *State) *Keyring {
	r.t.Helper()
	k, err := New(Config{
		Alert: func(line string) { r.alerts = append(r.alerts, line) }, Log: zerolog.New(&r.log),
		Now: func() time.Time { return r.now },
	}, r.load(s), before)
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

func (r *ring) load(s Settings) *Loaded {
	r.t.Helper()
	l, err := Load(s, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// bundle returns what workers get.
func (r *ring) bundle() *certificate.Bundle {
	r.t.Helper()
	file, _, err := r.Credentials()
	if err != nil {
		r.t.Fatal(err)
	}
	defer file.Close()
	p, err := ipc.ReadSealed(int(file.Fd()), certificate.MaxBundle)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := certificate.DecodeBundle(p)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// chain returns the n-th certificate that workers get.
func (r *ring) chain(n int) string { return string(r.bundle().Certificates[n].Chain) }

// poll does what a keyring does each second.
func (r *ring) poll() {
	r.Keyring.poll()
	r.tend()
}

// polls polls often enough for a change to be noticed.
func (r *ring) polls() {
	for range 3 {
		r.poll()
	}
}

// expectAlerts checks the alerts since the last call.
func (r *ring) expectAlerts(want ...string) {
	r.t.Helper()
	if !slices.Equal(r.alerts, want) {
		r.t.Errorf("alerts:\n %s\nwant:\n %s", strings.Join(r.alerts, "\n "), strings.Join(want, "\n "))
	}
	r.alerts = nil
}

// changed checks whether there was a notification.
func (r *ring) hasChanged(want bool) {
	r.t.Helper()
	got := false
	select {
	case <-r.Changed():
		got = true
	default:
	}
	if got != want {
		r.t.Errorf("changed: %v", got)
	}
}

func issue(t testing.TB, host string, from time.Time, lifetime time.Duration) certificate.Source {
	t.Helper()
	src, err := certificate.SelfSigned([]string{host}, from, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	src.Name = host
	return src
}

// files writes a certificate and its key in a new directory.
func files(t testing.TB, src certificate.Source) Pair {
	t.Helper()
	dir := t.TempDir()
	p := Pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	p.write(t, src)
	return p
}

func (p Pair) write(t testing.TB, src certificate.Source) {
	t.Helper()
	write(t, p.Key, src.Key)
	write(t, p.Certificate, src.Chain)
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNew(t *testing.T) {
	a, b := issue(t, "a.test", start, 90*day), issue(t, "b.test", start, 90*day)
	one := filepath.Join(t.TempDir(), "one.pem")
	write(t, one, slices.Concat(b.Key, b.Chain))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, a.Chain)
	pair := files(t, a)
	r := newRing(t, Settings{Pairs: []Pair{pair, {one, one}}, ClientCA: ca, SelfSigned: true}, nil)
	r.expectAlerts()
	r.hasChanged(false)
	got := r.bundle()
	if len(got.Certificates) != 3 || got.Certificates[0].Name != pair.Certificate || got.Certificates[2].Name != certificate.SelfSignedName ||
		!bytes.Equal(got.ClientCA, a.Chain) || len(got.TicketKeys) != 2 {
		t.Errorf("%+v", got)
	}
	names := []string{}
	for _, c := range r.List() {
		names = append(names, c.Names[0])
	}
	if !slices.Equal(names, []string{"a.test", "b.test", "localhost"}) {
		t.Errorf("%q", names)
	}
	newRing(t, Settings{}, nil).bundle() // ACME may have none yet
}

// All workers share the file. None can change it for the others.
func TestSealedOnce(t *testing.T) {
	r := newRing(t, Settings{}, nil)
	a, b := r.bundle(), r.bundle()
	if !reflect.DeepEqual(a, b) {
		t.Error("two workers get different credentials")
	}
	if err := r.Publish(nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	r.hasChanged(false)
}

func TestPublish(t *testing.T) {
	r := newRing(t, Settings{Pairs: []Pair{files(t, issue(t, "file.test", start, 90*day))}}, nil)
	src := issue(t, "acme.test", start, 90*day)
	if err := r.Publish([]certificate.Source{src}, nil, nil); err != nil {
		t.Fatal(err)
	}
	r.hasChanged(true)
	if got := r.bundle().Certificates; len(got) != 2 || got[1].Name != "acme.test" {
		t.Errorf("%+v", got)
	}
	answers := map[string]string{"token": "token.key"}
	if err := r.Publish([]certificate.Source{src}, []certificate.Source{src}, answers); err != nil {
		t.Fatal(err)
	}
	r.hasChanged(true)
	answers["token"] = "another"
	if got := r.bundle(); len(got.Challenges) != 1 || got.Answers["token"] != "token.key" || len(got.Certificates) != 2 {
		t.Errorf("%+v", got)
	}
	if err := r.Publish([]certificate.Source{{Name: "x", Chain: src.Chain}}, nil, nil); err == nil {
		t.Error("a certificate without a key was published")
	}
	if err := r.Publish(nil, []certificate.Source{{}}, nil); err == nil {
		t.Error("a broken challenge was published")
	}
	r.hasChanged(false)
}

// Workers get all certificates even if the clock is behind, as on a machine that has just
// started, and if one has expired.
func TestPublishNotValid(t *testing.T) {
	r := newRing(t, Settings{}, nil)
	good, young := issue(t, "good.test", start, 90*day), issue(t, "young.test", start.Add(2*day), 90*day)
	old := issue(t, "old.test", start.Add(-20*day), 10*day)
	if err := r.Publish([]certificate.Source{young, old, good}, nil, nil); err != nil {
		t.Fatal(err)
	}
	r.hasChanged(true)
	if got := r.bundle().Certificates; len(got) != 3 {
		t.Errorf("%d certificates of 3", len(got))
	}
	r.expectAlerts(`certificate "old.test" for old.test expired on 2026-11-16T00:00:00Z: clients refuse it; renew it`)
}

// A program that has replaced another one continues with its ticket keys and its self-signed
// certificate, and repeats no warning.
func TestState(t *testing.T) {
	pair := files(t, issue(t, "a.test", start.Add(-85*day), 90*day))
	s := Settings{Pairs: []Pair{pair}, SelfSigned: true}
	r := newRing(t, s, nil)
	r.expectAlerts(`certificate "` + pair.Certificate + `" for a.test expires in 5 days, on 2026-12-01T00:00:00Z; renew it`)
	r.now = r.now.Add(rotateEvery)
	r.poll()
	if err := r.Publish([]certificate.Source{issue(t, "acme.test", start, 90*day)}, nil, nil); err != nil {
		t.Fatal(err)
	}
	want, before := r.bundle(), r.State()
	r.Keyring = r.again(s, before)
	r.expectAlerts()
	if got := r.bundle(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nbefore:\n%+v", got, want)
	}
	r.now = r.now.Add(rotateEvery)
	r.poll()
	if got := r.bundle().TicketKeys; got[0] != want.TicketKeys[1] {
		t.Error("the next key has changed")
	}
	// A certificate that can no longer be read stays in use until it changes.
	if err := os.Remove(pair.Key); err != nil {
		t.Fatal(err)
	}
	loaded, err := before.Loaded(s)
	if err != nil {
		t.Fatal(err)
	}
	r.Keyring, err = New(r.Config, loaded, before)
	if err != nil || !reflect.DeepEqual(r.bundle(), want) {
		t.Errorf("%v, %+v\nbefore:\n%+v", err, r.bundle(), want)
	}
	r.expectAlerts()
	r.polls()
	r.expectAlerts(`key "` + pair.Key + `" of certificate "` + pair.Certificate + `": no such file or directory; the current one stays in use`)
	if _, err := before.Loaded(Settings{Pairs: []Pair{{"other", "other"}}}); err == nil {
		t.Error("an unknown certificate is found")
	}
	pair.write(t, issue(t, "a.test", start, 90*day))
	for _, broken := range []*State{{}, {TicketKeys: [][]byte{{1}}}, {TicketKeys: [][]byte{make([]byte, 32), {1}}}, {SelfSigned: &certificate.Source{}}, {Published: []certificate.Source{{}}}} {
		k := r.again(s, broken)
		if len(k.tickets.keys) != 2 || k.loaded.selfSigned.Chain == nil {
			t.Errorf("%+v became %+v", broken, k.tickets)
		}
	}
}

// Another version can read the state.
func TestStateFormat(t *testing.T) {
	one := []certificate.Source{{Name: "a", Chain: []byte("c"), Key: []byte("k")}}
	key := bytes.Repeat([]byte{1}, 32)
	text, err := json.Marshal(State{
		Sources: one, TicketKeys: [][]byte{key}, Since: start, SelfSigned: &one[0], Passwords: one, Published: one, Warned: map[string]int{"f": 1},
	})
	source := `{"Name":"a","Chain":"Yw==","Key":"aw=="}`
	want := `{"Sources":[` + source + `],"TicketKeys":["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="],"Since":"` + start.Format(time.RFC3339) + `","SelfSigned":` + source +
		`,"Passwords":[` + source + `],"Published":[` + source + `],"Warned":{"f":1}}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
}

// AwaitUsed waits until workers use what was published when the wait began.
func TestAwaitUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, Settings{}, nil)
		publish := func(answer string) uint32 {
			t.Helper()
			if err := r.Publish(nil, nil, map[string]string{"token": answer}); err != nil {
				t.Fatal(err)
			}
			file, id, err := r.Credentials()
			if err != nil {
				t.Fatal(err)
			}
			file.Close()
			return id
		}
		first := publish("a")
		r.Used(first)
		if err := r.AwaitUsed(t.Context()); err != nil {
			t.Error(err)
		}
		if publish("a") != first {
			t.Error("the same credentials have another ID")
		}
		second := publish("b")
		done := make(chan error)
		go func() { done <- r.AwaitUsed(t.Context()) }()
		synctest.Wait()
		third := publish("c")
		r.Used(first)
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("too early: %v", err)
		default:
		}
		r.Used(second)
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.AwaitUsed(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		r.Used(third)
		if err := r.AwaitUsed(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
