package main

import (
	"slices"
	"testing"

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
