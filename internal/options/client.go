package options

import (
	"strings"

	"phalanx/internal/clientip"
	"phalanx/internal/proto"
)

// The types of the flags about clients.
type (
	Networks     string // separated by commas
	ClientHeader string // the name of a header field
	Source       string // an IP address, or "unix"
)

func (n *Networks) UnmarshalFlag(v string) error {
	var all []string
	for _, text := range clientip.SplitNetworks(v) {
		n, err := clientip.ParseNetwork(text)
		if err != nil {
			return invalid(text, err.Error())
		}
		all = append(all, n.String())
	}
	if len(all) == 0 {
		return invalid(v, "must name networks, such as 192.0.2.0/24, 2001:db8::/32 or unix")
	}
	*n = Networks(strings.Join(all, ","))
	return nil
}

func (h *ClientHeader) UnmarshalFlag(v string) error {
	if !proto.IsToken(v) {
		return invalid(v, "must be the name of a header field, such as X-Forwarded-For, Forwarded or CF-Connecting-IP")
	}
	*h = ClientHeader(v)
	return nil
}

func (f *Source) UnmarshalFlag(v string) error {
	if _, ok := clientip.Parse(v); !ok {
		return invalid(v, "must be an IP address, such as 192.0.2.1, or unix")
	}
	*f = Source(v)
	return nil
}

// networks returns all networks of a repeated flag. They have been validated.
func networks(lists []Networks) (all []clientip.Network) {
	for _, list := range lists {
		for _, text := range clientip.SplitNetworks(string(list)) {
			if n, err := clientip.ParseNetwork(text); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// Proxied returns the networks whose connections begin with a PROXY header; nil: none.
func (o Options) Proxied() *clientip.Networks { return clientip.NewNetworks(networks(o.ProxyProtocol)) }

// Trust returns the trusted proxies and their header field; nil: there are none.
func (o Options) Trust() *clientip.Trust {
	trusted := clientip.NewNetworks(networks(o.TrustedProxies))
	if trusted == nil {
		return nil
	}
	return &clientip.Trust{Networks: trusted, Field: strings.ToLower(string(o.ClientHeader))}
}

// Access returns which clients are admitted; nil: all.
func (o Options) Access() *clientip.Access {
	return clientip.NewAccess(networks(o.Allow), networks(o.Deny))
}

// Uncounted returns a warning if --max-connections-per-client does not apply to clients behind
// proxies, else "". It does apply to clients named in a PROXY header.
func (o Options) Uncounted() string {
	if o.MaxPerClient == 0 || len(o.TrustedProxies) == 0 {
		return ""
	}
	return "--max-connections-per-client does not count the clients of --trusted-proxies, whose connections carry the requests of many; limit them in the proxy, or have it send a PROXY header (--proxy-protocol)"
}

// defaultClientHeader is the default of --client-header.
const defaultClientHeader = "X-Forwarded-For"
