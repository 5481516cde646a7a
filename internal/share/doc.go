// Package share is what a person who shares files sees: addresses to open and a code
// for phones, who looks and downloads, how far downloads are, and in the end what
// was downloaded.
//
// The master, which shows it, never meets a client. A [Session] reads the log that
// workers write anyway, one event for each request that has ended, and asks for the
// list of connections to see the downloads under way. Neither holds up a worker:
// what nobody reads is dropped.
package share
