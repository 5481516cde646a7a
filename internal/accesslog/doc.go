// Package accesslog writes one access log for a pool of processes.
//
// A worker formats a line ([Formatter]) and copies it into its [Ring], memory shared
// with the master. One goroutine of the master, the [Writer], writes the lines of
// all rings to the file. So lines of any length stay whole, lines of a killed worker
// survive, the file is reopened in one place, and no worker ever blocks: a full ring
// drops lines and counts them.
//
// A line leaves its ring only once it is in the file. While the disk is full or the
// reader of a pipe is stuck, lines stay in their rings.
package accesslog
