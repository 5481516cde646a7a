package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"phalanx/internal/acme"
	"phalanx/internal/listen"
)

// HTTP-01 needs an address for plain HTTP.
func TestChallenges(t *testing.T) {
	secure, plain := listen.Address{Secure: true}, listen.Address{}
	for _, c := range []struct {
		addresses []listen.Address
		want      []string
	}{
		{[]listen.Address{secure}, []string{acme.TLSALPN01}},
		{[]listen.Address{secure, plain}, []string{acme.HTTP01, acme.TLSALPN01}},
	} {
		if got := challenges(c.addresses); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q", c.addresses, got)
		}
	}
}

// A disk that does not respond while a file is being written to it does not delay a stop.
func TestAuthorityStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, err := acme.OpenState(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		a := &authority{state: state, ran: make(chan struct{})}
		a.ctx, a.cancel = context.WithCancel(t.Context())
		a.stop()
		if a.ctx.Err() == nil {
			t.Error("the client was not told to stop")
		}
	})
}
