package serve

import (
	"phalanx/internal/clientip"
	"phalanx/internal/proxyproto"
)

// ClientOf returns the client that a PROXY header from peer names.
func ClientOf(h proxyproto.Header, peer clientip.Addr) clientip.Addr {
	switch {
	case h.Own():
		return peer
	case h.Unix:
		return clientip.Unix()
	}
	return clientip.From(h.Client)
}

// Unproxied counts a connection that is closed because its PROXY header was refused, and
// alerts the operator.
func (t *Tally) Unproxied(reason proxyproto.Reason, peer clientip.Addr) {
	t.Row.Unproxied[reason].Add(1)
	if t.Limits != nil {
		t.Limits.unproxied(reason, peer, t.Clock.Mono())
	}
}

// headerCures has the end of the alert for each reason: what happened and what to do.
var headerCures = [proxyproto.NumReasons]string{
	proxyproto.ReasonMissing:   "began a connection without a PROXY header; configure it to send one, or remove it from --proxy-protocol",
	proxyproto.ReasonMalformed: "sent a malformed PROXY header; check the proxies between it and this server",
	proxyproto.ReasonTooLong:   "sent a PROXY header of more than 107 bytes (version 1) or 4096 (version 2); configure it to leave out optional fields (TLVs)",
	proxyproto.ReasonChecksum:  "sent a PROXY header whose checksum is wrong; check the proxies between it and this server",
	proxyproto.ReasonTimeout:   "did not complete a PROXY header in time; check its load, or remove it from --proxy-protocol",
}
