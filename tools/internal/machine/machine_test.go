package machine

import (
	"net"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDescribe(t *testing.T) {
	m := Describe(fstest.MapFS{
		"cpuinfo":                              {Data: []byte("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n")},
		"meminfo":                              {Data: []byte("MemTotal:       2048 kB\nMemFree: 1 kB\n")},
		"sys/kernel/osrelease":                 {Data: []byte("6.18.44-maker\n")},
		"sys/net/ipv4/ip_local_port_range":     {Data: []byte("32768\t60999\n")},
		"sys/net/core/somaxconn":               {Data: []byte("4096\n")},
		"sys/net/something/nobody/asked/about": {Data: []byte("1\n")},
	}, 1000)
	if m.CPU != "Some CPU @ 2 GHz" || m.Memory != 2<<20 || m.Kernel != "Linux 6.18.44" || m.Files != 1000 {
		t.Errorf("got %+v", m)
	}
	if len(m.Sysctls) != 2 || m.Sysctls["net.ipv4.ip_local_port_range"] != "32768 60999" {
		t.Errorf("sysctls %v", m.Sysctls)
	}
	for _, c := range []struct {
		port, clients int
		want          string
	}{{18080, 1000, ""}, {40000, 10, "lies in the range"}, {18080, 20000, "widen"}} {
		err := CheckPorts(m, c.port, c.clients)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("port %d, %d clients: %v, want %q", c.port, c.clients, err, c.want)
		}
	}
}

func TestCheckPort(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := CheckPort(port); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port in use: %v", err)
	}
	l.Close()
	if err := CheckPort(port); err != nil {
		t.Errorf("a free port: %v", err)
	}
}

func TestRaiseFiles(t *testing.T) {
	if n, err := RaiseFiles(1); err != nil || n == 0 {
		t.Errorf("%d files, %v", n, err)
	}
	if _, err := RaiseFiles(1 << 60); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("more files than any limit: %v", err)
	}
}
