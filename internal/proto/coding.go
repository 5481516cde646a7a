package proto

import "bytes"

// Coding is a content coding (RFC 9110 §8.4.1).
type Coding uint8

// The codings of precompressed files.
const (
	Identity Coding = iota
	Gzip            // RFC 1952, file.gz
	Zstd            // RFC 8878, file.zst
	Brotli          // RFC 7932, file.br
	numCodings
)

// Token returns the coding's name in Content-Encoding; empty for Identity.
func (c Coding) Token() string {
	return [numCodings]string{"", "gzip", "zstd", "br"}[c]
}

// Suffix returns the suffix of a precompressed file's name.
func (c Coding) Suffix() string {
	return [numCodings]string{"", ".gz", ".zst", ".br"}[c]
}

// Codings are the codings that a client prefers to Identity, best first.
type Codings struct {
	list [numCodings - 1]Coding
	n    uint8
}

// List returns the codings, best first.
func (c *Codings) List() []Coding { return c.list[:c.n] }

// AcceptCodings parses Accept-Encoding (RFC 9110 §12.5.3). A coding is in the result if its
// weight is neither zero nor below that of identity; of equal weights the one that compresses
// better comes first. Without the field the result is empty.
func AcceptCodings(r *Request, head []byte) (c Codings) {
	if !r.Has(FieldAcceptEncoding) {
		return c
	}
	const unset = -1
	weights := [numCodings]int{unset, unset, unset, unset}
	rest := unset
	for value := range r.Values(head, FieldAcceptEncoding) {
		for value != nil {
			var element []byte
			element, value = cut(value)
			name, weight := cutWeight(element)
			if string(name) == "*" {
				rest = weight
			} else if coding, ok := lookupCoding(name); ok {
				weights[coding] = weight
			}
		}
	}
	floor := max(weights[Identity], 1)
	for coding := Brotli; coding > Identity; coding-- {
		if weights[coding] == unset {
			weights[coding] = rest
		}
		if weights[coding] >= floor {
			c.insert(coding, &weights)
		}
	}
	return c
}

// insert inserts the coding after all of the same or a higher weight.
func (c *Codings) insert(coding Coding, weights *[numCodings]int) {
	i := c.n
	for i > 0 && weights[c.list[i-1]] < weights[coding] {
		c.list[i] = c.list[i-1]
		i--
	}
	c.list[i] = coding
	c.n++
}

func lookupCoding(name []byte) (Coding, bool) {
	switch {
	case EqualFold(name, "br"):
		return Brotli, true
	case EqualFold(name, "zstd"):
		return Zstd, true
	case EqualFold(name, "gzip"), EqualFold(name, "x-gzip"):
		return Gzip, true
	case EqualFold(name, "identity"):
		return Identity, true
	}
	return Identity, false
}

// cutWeight splits a list element into its name and its weight in thousandths (RFC 9110
// §12.4.2). A malformed weight counts as q=0.
func cutWeight(element []byte) (name []byte, weight int) {
	name, rest, _ := bytes.Cut(element, []byte(";"))
	for len(rest) > 0 {
		var p []byte
		p, rest, _ = bytes.Cut(rest, []byte(";"))
		if p = Trim(p); len(p) >= 2 && p[0]|0x20 == 'q' && p[1] == '=' {
			return Trim(name), parseWeight(p[2:])
		}
	}
	return Trim(name), 1000
}

// parseWeight parses "0.123".
func parseWeight(p []byte) int {
	if len(p) == 0 || len(p) > len("0.123") || p[0] != '0' && p[0] != '1' || len(p) > 1 && p[1] != '.' {
		return 0
	}
	weight, unit := int(p[0]-'0')*1000, 100
	for i := 2; i < len(p); i++ {
		if p[i] < '0' || p[i] > '9' {
			return 0
		}
		weight += int(p[i]-'0') * unit
		unit /= 10
	}
	return min(weight, 1000)
}

// Accepts returns the weight in thousandths that Accept (RFC 9110 §12.5.1) gives to the media
// type kind/subtype, both in lower case.
func Accepts(r *Request, head []byte, kind, subtype string) int {
	if !r.Has(FieldAccept) {
		return 1000
	}
	best, depth := 0, 0 // of the most specific range
	for value := range r.Values(head, FieldAccept) {
		for value != nil {
			var element []byte
			element, value = cut(value)
			name, weight := cutWeight(element)
			if d := specificity(name, kind, subtype); d > depth {
				best, depth = weight, d
			}
		}
	}
	return best
}

// specificity returns 3 for "kind/subtype", 2 for "kind/*", 1 for "*/*" and 0 for a media
// range that does not match.
func specificity(name []byte, kind, subtype string) int {
	k, s, _ := bytes.Cut(name, []byte("/"))
	switch {
	case EqualFold(k, kind) && EqualFold(s, subtype):
		return 3
	case EqualFold(k, kind) && string(s) == "*":
		return 2
	case string(k) == "*" && string(s) == "*":
		return 1
	}
	return 0
}
