package options

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jessevdk/go-flags"
)

// The types of the flags about HTTP and HTTPS together.
type (
	HSTS  time.Duration // whole seconds, 0 to MaxExpires
	Plain string        // PlainRedirect, optionally with ":" and a port, or PlainServe
)

// What happens to plain HTTP requests.
const (
	PlainRedirect Plain = "redirect"
	PlainServe    Plain = "serve"
)

func (h *HSTS) UnmarshalFlag(v string) error {
	const cure = "must be 0s to 87600h in whole seconds, such as 10m or 8760h"
	if err := duration(h, v, cure, between(0, MaxExpires)); err != nil {
		return err
	}
	if time.Duration(*h)%time.Second != 0 {
		return invalid(v, cure)
	}
	return nil
}

func (p *Plain) UnmarshalFlag(v string) error {
	word, port, ok := strings.Cut(v, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if Plain(word) != PlainRedirect && v != string(PlainServe) || ok && (err != nil || n == 0 || port[0] == '+') {
		return invalid(v, "must be redirect, redirect:PORT or serve")
	}
	*p = Plain(v)
	return nil
}

func (Plain) Complete(match string) []flags.Completion {
	return fitting(match, []Plain{PlainRedirect, PlainServe})
}

// SecurePort returns the HTTPS port to which plain HTTP requests are redirected: the one of
// redirect:PORT, else 443 if it is in ports, else the first of ports; 0: they are served.
func (p Plain) SecurePort(ports []int) int {
	_, port, ok := strings.Cut(string(p), ":")
	switch {
	case p == PlainServe || len(ports) == 0:
		return 0
	case ok:
		n, _ := strconv.Atoi(port) // it was checked
		return n
	}
	if slices.Contains(ports, 443) {
		return 443
	}
	return ports[0]
}
