package serve

// Listener is a listening socket from which a worker accepts connections.
type Listener struct {
	FD     int  // non-blocking; the engine owns it
	Secure bool // its connections use TLS
	// Shared: all workers accept from it, because it is a unix socket, which cannot be opened
	// once per slot.
	Shared bool
	// Foreign: another process keeps it open for the next server, such as systemd.
	Foreign bool
}
