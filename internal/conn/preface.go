package conn

// Preface is what an HTTP/2 client sends first (RFC 9113 §3.4). No HTTP/1.1 request begins
// with it.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// MatchPreface compares the first bytes of a connection with the preface: begun says that they are
// its beginning, whole that they contain it.
func MatchPreface(in []byte) (begun, whole bool) {
	n := min(len(in), len(Preface))
	begun = string(in[:n]) == Preface[:n]
	return begun, begun && n == len(Preface)
}
