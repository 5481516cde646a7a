// Package accesslog is the access log of a pool of processes that write one
// file.
//
// A worker formats a line ([Formatter]) and copies it into its [Ring], which is
// memory that it shares with the master. One goroutine of the master, the
// [Writer], empties all rings into the file. So a line is whole at any length,
// what a worker has written survives its death, the file is opened anew in one
// place, and who cannot write waits for nobody: a full ring drops lines and
// counts them.
//
// A line leaves its ring when it is in the file, not before. While the disk is
// full or a reader is stuck, lines stay where they are.
package accesslog
