package proto

// Realms is a set of protection spaces (RFC 9110 §11.5), one bit each.
type Realms uint64

// MaxRealms is the largest number of protection spaces.
const MaxRealms = 64

// Access is the protection spaces that a request has access to, and those that it uses.
type Access struct {
	Granted Realms // those whose credentials the request has
	Used    Realms // those that contain the requested resource or what would be sent
}

// Missing returns the protection spaces whose credentials the request lacks.
func (a *Access) Missing() Realms { return a.Used &^ a.Granted }
