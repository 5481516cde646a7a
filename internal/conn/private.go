package conn

import (
	"bytes"

	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// private changes a complete head so that shared caches do not store the response for other
// clients (RFC 9111 §3.5, §5.2.2.7), whatever the head contains.
func (r *Reply) private(out []byte) []byte {
	head := append(r.cfg.private[:0], out[r.x.head:]...)
	r.cfg.private, out = head, out[:r.x.head]
	control, vary := false, false
	for len(head) > 2 {
		end := bytes.IndexByte(head, '\n') + 1
		line := head[:end]
		head = head[end:]
		name, value, _ := bytes.Cut(line[:end-2], []byte(":"))
		switch value = bytes.TrimSpace(value); {
		case proto.EqualFold(name, "cache-control"):
			control = true
			out = appendUnshared(append(out, "Cache-Control: private"...), value)
		case proto.EqualFold(name, "expires"), rules.ForCDNs(name): // they cannot say who may store it
		case proto.EqualFold(name, "vary") && !vary:
			vary = true
			out = append(append(append(out, line[:end-2]...), ", Authorization"...), "\r\n"...)
		default:
			out = append(out, line...)
		}
	}
	if !control {
		out = append(out, "Cache-Control: private\r\n"...)
	}
	if !vary {
		out = append(out, "Vary: Authorization\r\n"...)
	}
	return append(out, head...)
}

// notForCDNs removes from a complete head, which has no-store, the fields with which shared
// caches would store the response nevertheless.
func (r *Reply) notForCDNs(out []byte) []byte {
	head := append(r.cfg.private[:0], out[r.x.head:]...)
	r.cfg.private, out = head, out[:r.x.head]
	for line := range bytes.Lines(head) {
		if name, _, _ := bytes.Cut(line, []byte(":")); !rules.ForCDNs(name) {
			out = append(out, line...)
		}
	}
	return out
}

// appendUnshared appends the directives of a Cache-Control that do not address shared caches,
// after a first directive.
func appendUnshared(out, value []byte) []byte {
	for directive := range bytes.SplitSeq(value, []byte(",")) {
		directive = bytes.TrimSpace(directive)
		name, _, _ := bytes.Cut(directive, []byte("="))
		if len(name) == 0 || proto.EqualFold(name, "public") || proto.EqualFold(name, "private") || proto.EqualFold(name, "s-maxage") {
			continue
		}
		out = append(append(out, ", "...), directive...)
	}
	return append(out, "\r\n"...)
}
