// Package machine describes the machine of a run as far as a reader needs it to
// judge the numbers, and checks beforehand that its limits allow the run. The
// description contains no host name, address or path.
package machine

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/tools/internal/record"
)

// sysctls lists the kernel settings that limit a server under load.
func sysctls() []string {
	return []string{
		"net.core.somaxconn", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_rmem",
		"net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_wmem",
	}
}

// Describe reads the description from proc, a /proc. files is the limit of open
// files that the servers inherit.
func Describe(proc fs.FS, files uint64) record.Machine {
	m := record.Machine{
		CPU: "unknown", Cores: runtime.NumCPU(), Files: files, Sysctls: make(map[string]string),
	}
	if name := line(proc, "cpuinfo", "model name"); name != "" {
		m.CPU = name
	}
	if kb, ok := strings.CutSuffix(line(proc, "meminfo", "MemTotal"), " kB"); ok {
		n, _ := strconv.ParseInt(strings.TrimSpace(kb), 10, 64)
		m.Memory = n << 10
	}
	if text, err := fs.ReadFile(proc, "sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + numeric(string(bytes.TrimSpace(text)))
	}
	for _, name := range sysctls() {
		text, err := fs.ReadFile(proc, "sys/"+strings.ReplaceAll(name, ".", "/"))
		if err == nil {
			m.Sysctls[name] = strings.Join(strings.Fields(string(text)), " ")
		}
	}
	return m
}

// line returns the value of a line "name : value" in a file of /proc, or "".
func line(proc fs.FS, file, name string) string {
	text, _ := fs.ReadFile(proc, file)
	for l := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(l, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// numeric returns the version in a kernel release, without the vendor's suffix.
func numeric(release string) string {
	end := strings.IndexFunc(release, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return release
	}
	return strings.TrimRight(release[:end], ".")
}

// RaiseFiles raises the soft limit of open files to the hard one and returns
// it. It is an error if that is less than need.
func RaiseFiles(need uint64) (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return 0, fmt.Errorf("raise the limit of open files to %d: %w", limit.Max, err)
		}
	}
	if limit.Cur < need {
		return limit.Cur, fmt.Errorf("%d open files are allowed and %d needed: raise the hard limit (ulimit -Hn) or leave out the higher levels", limit.Cur, need)
	}
	return limit.Cur, nil
}

// CheckPort returns an error if a process listens on the port.
func CheckPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("port %d is in use: stop its server or choose another with --port", port)
	}
	return l.Close()
}

// CheckPorts returns an error if there are too few ephemeral ports for the
// clients, or if port is one of them: a client could take it first.
func CheckPorts(m record.Machine, port, clients int) error {
	const name = "net.ipv4.ip_local_port_range"
	var low, high int
	if _, err := fmt.Sscan(m.Sysctls[name], &low, &high); err != nil {
		return nil // unknown, so not checked
	}
	if port >= low && port <= high {
		return fmt.Errorf("port %d lies in the range of ephemeral ports, %d to %d: choose another with --port", port, low, high)
	}
	if high-low < 2*clients {
		return fmt.Errorf("only %d ephemeral ports and %d needed: widen %s", high-low, 2*clients, name)
	}
	return nil
}
