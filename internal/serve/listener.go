package serve

// Listener is a listening socket from which a worker accepts connections.
type Listener struct {
	FD     int  // does not block; the engine takes it over
	Secure bool // its connections begin with a TLS handshake
}
