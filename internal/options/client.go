package options

import (
	"strings"

	"phalanx/internal/clientip"
	"phalanx/internal/proto"
)

// The values that say who a client is, and whether it is served. Each has one or more
// networks with commas between them.
type (
	ProxyNetworks   string
	TrustedNetworks string
	AllowNetworks   string
	DenyNetworks    string
	ClientHeader    string // the name of a header field
	Source          string // an IP address, or "unix"
)

func (n *ProxyNetworks) UnmarshalFlag(v string) error { return readNetworks(n, "proxy-protocol", v) }

func (n *TrustedNetworks) UnmarshalFlag(v string) error {
	return readNetworks(n, "trusted-proxies", v)
}

func (n *AllowNetworks) UnmarshalFlag(v string) error { return readNetworks(n, "allow", v) }

func (n *DenyNetworks) UnmarshalFlag(v string) error { return readNetworks(n, "deny", v) }

// readNetworks reads the networks of a flag.
func readNetworks[T ~string](to *T, flag, v string) error {
	var all []string
	for _, text := range clientip.SplitNetworks(v) {
		n, err := clientip.ParseNetwork(text)
		if err != nil {
			return invalid(flag, text, err.Error())
		}
		all = append(all, n.String())
	}
	if len(all) == 0 {
		return invalid(flag, v, "must name networks, such as 192.0.2.0/24, 2001:db8::/32 or unix")
	}
	*to = T(strings.Join(all, ","))
	return nil
}

func (h *ClientHeader) UnmarshalFlag(v string) error {
	if !proto.IsToken(v) {
		return invalid("client-header", v, "must be the name of a header field, such as X-Forwarded-For, Forwarded or CF-Connecting-IP")
	}
	*h = ClientHeader(v)
	return nil
}

func (f *Source) UnmarshalFlag(v string) error {
	if _, ok := clientip.Parse(v); !ok {
		return invalid("from", v, "must be an IP address, such as 192.0.2.1, or unix")
	}
	*f = Source(v)
	return nil
}

// networks returns those of a flag that may be repeated. They have been read already.
func networks[T ~string](lists []T) (all []clientip.Network) {
	for _, list := range lists {
		for _, text := range clientip.SplitNetworks(string(list)) {
			if n, err := clientip.ParseNetwork(text); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// Proxied returns the clients whose connections begin with a PROXY header; nil: nobody's do.
func (o Options) Proxied() *clientip.Networks { return clientip.NewNetworks(networks(o.ProxyProtocol)) }

// Trust says which proxies name the client of a request; nil: none do.
func (o Options) Trust() *clientip.Trust {
	trusted := clientip.NewNetworks(networks(o.TrustedProxies))
	if trusted == nil {
		return nil
	}
	return &clientip.Trust{Networks: trusted, Field: strings.ToLower(string(o.ClientHeader))}
}

// Access says which clients are served; nil: all are.
func (o Options) Access() *clientip.Access {
	return clientip.NewAccess(networks(o.Allow), networks(o.Deny))
}

// Uncounted returns a warning if --max-connections-per-client does not count the clients behind
// proxies, else "". Clients that a PROXY header names are counted.
func (o Options) Uncounted() string {
	if o.MaxPerClient == 0 || len(o.TrustedProxies) == 0 {
		return ""
	}
	return "--max-connections-per-client does not count the clients of --trusted-proxies, whose connections carry the requests of many; limit them in the proxy, or have it send a PROXY header (--proxy-protocol)"
}

// defaultClientHeader is the default of --client-header.
const defaultClientHeader = "X-Forwarded-For"
