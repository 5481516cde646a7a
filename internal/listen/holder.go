package listen

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder returns the process that listens on a TCP port, such as "nginx (pid 4711)"; "" if it
// is unknown, for example because it belongs to another user. It looks up the socket's inode
// in /proc (proc(5)).
func holder(proc string, port int) string {
	inodes := listening(filepath.Join(proc, "net", "tcp"), port)
	for inode := range listening(filepath.Join(proc, "net", "tcp6"), port) {
		inodes[inode] = true
	}
	links, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil || len(inodes) == 0 {
		return ""
	}
	first := 0 // of processes that share a socket, the parent has the lowest pid
	for _, link := range links {
		name, err := os.Readlink(link)
		if err != nil || !inodes[strings.TrimSuffix(strings.TrimPrefix(name, "socket:["), "]")] {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
		if err == nil && (first == 0 || pid < first) {
			first = pid
		}
	}
	command, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(first), "comm"))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(command)), first)
}

// listening returns the inodes of the sockets that listen on a port, from a table such as
// /proc/net/tcp: local address, remote address, state, and six columns later the inode.
func listening(table string, port int) map[string]bool {
	const listen = "0A" // TCP_LISTEN
	inodes := make(map[string]bool)
	text, err := os.ReadFile(table)
	if err != nil {
		return inodes
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listen {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			inodes[f[9]] = true
		}
	}
	return inodes
}
