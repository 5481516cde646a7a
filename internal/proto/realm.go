package proto

// Realms are protection spaces (RFC 9110 §11.5), each a bit by its number.
type Realms uint64

// MaxRealms is how many protection spaces there can be.
const MaxRealms = 64

// Access is what a request may see of a site, and what that turned out to be part of.
type Access struct {
	Granted Realms // whose credentials the request has
	Used    Realms // that what was asked for, or would be sent, is in
}

// Missing returns the protection spaces whose credentials the request needs as well.
func (a *Access) Missing() Realms { return a.Used &^ a.Granted }
