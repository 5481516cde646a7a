// Package share is the terminal output of phalanx share: the addresses and a QR code, the
// requests of clients, the progress of downloads, and in the end a summary.
//
// It runs in the master, which does not serve clients. A [Session] reads the workers' log,
// with one event for each request that has ended, and lists connections for the downloads
// under way. Neither blocks a worker: events that are not read in time are dropped.
package share
