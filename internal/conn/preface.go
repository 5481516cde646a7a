package conn

// Preface is what an HTTP/2 client sends first (RFC 9113 §3.4). No HTTP/1.1 request begins
// with it.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// preface says whether the received bytes begin with the HTTP/2 preface.
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
