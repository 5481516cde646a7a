package serve

// Listener is a listening socket from which a worker accepts connections.
type Listener struct {
	FD     int  // does not block; the engine takes it over
	Secure bool // its connections begin with a TLS handshake
	// Shared says that the workers of all slots accept from it: a unix socket, of which
	// there can be only one.
	Shared bool
	// Foreign says that another process keeps it, for the next server.
	Foreign bool
}
