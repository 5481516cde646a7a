package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"phalanx/internal/acme"
	"phalanx/internal/exitcode"
	"phalanx/internal/keyring"
	"phalanx/internal/listen"
	"phalanx/internal/observe/status"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
)

// authority is the ACME client with its state; nil: ACME is not used.
type authority struct {
	*acme.Client
	state  *acme.State
	ctx    context.Context // ends with the drain
	cancel context.CancelFunc
	ran    chan struct{} // closed when Run has returned; nil: it was not called
}

// newAuthority creates the ACME client, which publishes the stored certificates. After an
// upgrade errors are only reported, because workers are serving.
func newAuthority(o options.Options, addresses []listen.Address, ring *keyring.Keyring, upgraded bool, out *standardError) (*authority, error) {
	if len(o.ACME) == 0 || ring == nil {
		return nil, nil
	}
	a, err := openAuthority(o, addresses, ring, out)
	if err != nil && upgraded {
		out.alert(err.Error() + "; certificates are not renewed")
		return nil, nil
	}
	return a, err
}

func openAuthority(o options.Options, addresses []listen.Address, ring *keyring.Keyring, out *standardError) (*authority, error) {
	binding, err := readBinding(o)
	if err != nil {
		return nil, err
	}
	state, err := acme.OpenState(string(o.State))
	if err != nil {
		return nil, err
	}
	client, err := acme.New(acme.Config{
		State: state, Directory: cmp.Or(string(o.ACMEDirectory), acme.LetsEncrypt), Hosts: o.Hosts(), Email: string(o.ACMEEmail), Profile: o.ACMEProfile,
		Binding: binding, Challenges: challenges(addresses), Version: options.Version, Taken: ring.AwaitUsed,
		Publish: func(p acme.Published) {
			if err := ring.Publish(p.Certificates, p.Challenges, p.Answers); err != nil {
				out.alert(err.Error() + "; workers keep the certificates that they have")
			}
		},
		Alert: out.alert, Inform: func(line string) { out.inform(o, line) }, Log: out.log,
	})
	if err != nil {
		return nil, errors.Join(err, state.Close())
	}
	a := &authority{Client: client, state: state}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a, nil
}

func readBinding(o options.Options) (*acme.Binding, error) {
	if o.ACMEBinding == "" {
		return nil, nil
	}
	binding, err := acme.ReadBinding(string(o.ACMEBinding))
	if err != nil {
		return nil, exitcode.New(exitcode.Config, "--acme-eab: "+err.Error(), err)
	}
	return binding, nil
}

// challenges returns the types of challenges that the addresses support: TLS-ALPN-01 always,
// and HTTP-01 if there is a plain HTTP address. HTTP-01 is preferred, because it works through
// proxies.
func challenges(addresses []listen.Address) []string {
	kinds := []string{acme.TLSALPN01}
	if slices.ContainsFunc(addresses, func(a listen.Address) bool { return !a.Secure }) {
		kinds = slices.Insert(kinds, 0, acme.HTTP01)
	}
	return kinds
}

// checkAuthority checks the ACME options and the state directory for --check.
func checkAuthority(o options.Options) error {
	if len(o.ACME) == 0 {
		return nil
	}
	if _, err := readBinding(o); err != nil {
		return err
	}
	return acme.TryState(string(o.State))
}

// attach makes the client run from when the pool serves until it drains, after which
// challenges are not answered.
func (a *authority) attach(pool *supervise.Config) {
	if a == nil {
		return
	}
	serving, drain := pool.OnServing, pool.OnDrain
	pool.OnServing = func(workers int) {
		serving(workers)
		a.ran = make(chan struct{})
		go func() {
			defer close(a.ran)
			a.Run(a.ctx)
		}()
	}
	pool.OnDrain = func() { a.cancel(); drain() }
}

// use applies the hosts of a reload and retries failed ones.
func (a *authority) use(o options.Options) {
	if a != nil {
		a.Use(o.Hosts())
	}
}

// authorityTime is how long stop waits for a slow disk.
const authorityTime = time.Second

// stop stops the client and waits for it, for at most authorityTime.
func (a *authority) stop() {
	if a == nil {
		return
	}
	a.cancel()
	if a.ran != nil {
		select {
		case <-a.ran:
		case <-time.After(authorityTime):
			return // a file may still be written, so the lock is kept until this process exits
		}
	}
	_ = a.state.Close() // nothing to report
}

// status returns the client's status for snapshots of the pool; nil: no ACME.
func (a *authority) status() *status.ACME {
	if a == nil {
		return nil
	}
	return a.Status()
}
