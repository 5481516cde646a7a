package conn

// Preface is what a client of HTTP/2 sends first (RFC 9113 §3.4). No request of HTTP/1.1
// begins with it.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// How much of the preface there is.
type preface uint8

const (
	prefaceNone preface = iota
	prefaceBegun
	prefaceWhole
)

// match compares the first bytes of a connection with the preface.
func match(in []byte) preface {
	n := min(len(in), len(Preface))
	switch {
	case string(in[:n]) != Preface[:n]:
		return prefaceNone
	case n < len(Preface):
		return prefaceBegun
	}
	return prefaceWhole
}
