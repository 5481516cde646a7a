package control

import (
	"errors"
	"strings"
	"testing"

	"phalanx/internal/certificate"
	"phalanx/internal/ipc"
	"phalanx/internal/serve"
)

// sendCredentials sends credentials as a master does.
func (b *bench) sendCredentials(t *testing.T, p []byte) {
	t.Helper()
	file, err := ipc.Sealed("test", p)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := b.master.SendFile(ipc.Credentials{ID: 7}, int(file.Fd())); err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, b certificate.Bundle) []byte {
	t.Helper()
	p, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// withCredentials returns a worker with a TLS listener that accepts only bundles with a
// client CA.
func withCredentials(t *testing.T) *bench {
	return newBenchWith(t, func(c *Config) {
		c.Use = func(b *certificate.Bundle) (serve.Order, error) {
			if len(b.ClientCA) == 0 {
				return nil, errors.New("not good enough")
			}
			return serve.Drain{Steered: true}, nil // stands for the engine's order
		}
	})
}

// confirm expects an order for a confirmation, and passes the confirmation to the master.
func (b *bench) confirm(t *testing.T) {
	t.Helper()
	confirm, ok := b.next(t).(serve.Confirm)
	if !ok {
		t.Fatal("no Confirm")
	}
	confirm()
	if m, err := b.master.Receive(); m != (ipc.CredentialsUsed{ID: 7}) || err != nil {
		t.Fatalf("the master got %+v, %v", m, err)
	}
}

// Credentials become orders. Unusable ones change nothing.
func TestCredentials(t *testing.T) {
	b := withCredentials(t)
	defer b.Stop()
	defer close(b.signals)
	good := encoded(t, certificate.Bundle{ClientCA: []byte("x")})
	b.sendCredentials(t, good)
	if ok, err := b.AwaitCredentials(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if o := b.next(t); o != (serve.Drain{Steered: true}) {
		t.Errorf("%+v", o)
	}
	b.confirm(t)
	for want, p := range map[string][]byte{
		"not good enough": encoded(t, certificate.Bundle{}), "decode credentials": good[:3],
	} {
		b.sendCredentials(t, p)
		m, err := b.master.Receive()
		if refused, ok := m.(ipc.CredentialsRefused); !ok || !strings.Contains(refused.Reason, want) {
			t.Errorf("%+v, %v", m, err)
		}
	}
	b.sendCredentials(t, good)
	b.next(t)
	b.confirm(t)
	if o, ok := b.Orders().Take(); ok {
		t.Errorf("unexpected order %+v", o)
	}
}

// Without usable first credentials a worker does not become ready, and reports why.
func TestFirstCredentials(t *testing.T) {
	b := withCredentials(t)
	b.sendCredentials(t, encoded(t, certificate.Bundle{}))
	if ok, err := b.AwaitCredentials(); ok || err == nil {
		t.Error(ok, err)
	}
	close(b.signals)
	b.Stop()

	b = withCredentials(t)
	b.signals <- nil
	if ok, err := b.AwaitCredentials(); ok || err != nil {
		t.Error(ok, err)
	}
	close(b.signals)
	b.Stop()
}

// A worker without a TLS listener ignores credentials, and does not leak their file.
func TestUnwantedCredentials(t *testing.T) {
	b := newBench(t)
	b.sendCredentials(t, nil)
	b.signals <- nil
	b.next(t)
	close(b.signals)
	b.Stop()
}
