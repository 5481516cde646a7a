package target

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestVersion(t *testing.T) {
	for _, c := range []struct{ target, output, want string }{
		{"nginx", "nginx version: nginx/1.22.1\n", "1.22.1"},
		{"lighttpd", "lighttpd/1.4.69 (ssl) - a light and fast webserver\n", "1.4.69"},
		{"h2o", "h2o version 2.2.5\nOpenSSL: OpenSSL 3.0.19 27 Jan 2026\n", "2.2.5"},
		{"apache-event", "Server version: Apache/2.4.71 (Debian)\n", "2.4.71"},
		{"caddy", "v2.11.9 h1:abc=\n", "2.11.9"},
		{"fasthttp", "fasthttp 1.77.0\n", "1.77.0"},
		{"nginx", "no such thing", "unknown"},
	} {
		all := Peers("")
		at := slices.IndexFunc(all, func(p Target) bool { return p.Name == c.target })
		if got := Version(c.output, all[at].pattern); got != c.want {
			t.Errorf("%s: version %q of %q, want %q", c.target, got, c.output, c.want)
		}
	}
}

func TestConfigurationsAreFilled(t *testing.T) {
	for _, root := range []bool{true, false} {
		site := Site{Base: "/www", Port: 8099, Scratch: "/scratch", Cores: 2, Root: root}
		for _, p := range Peers("") {
			text := fill(p.config, site)
			for _, word := range []string{"{BASE}", "{PORT}", "{SCRATCH}", "{CORES}", account} {
				if strings.Contains(text, word) {
					t.Errorf("%s: %s is left", p.Name, word)
				}
			}
			if p.config != "" && !strings.Contains(text, "8099") {
				t.Errorf("%s does not listen on the port", p.Name)
			}
			if strings.Contains(text, "www-data") && !root {
				t.Errorf("%s changes its user without being root", p.Name)
			}
		}
	}
}

// TestSecureConfigurations has servers that speak only TLS.
func TestSecureConfigurations(t *testing.T) {
	site := Site{Base: "/www", Port: 8099, Scratch: "/scratch", Cores: 2, Certificate: "/tls/cert", Key: "/tls/key"}
	for _, p := range Peers("") {
		if p.Name != "nginx" && p.Name != "h2o" {
			continue
		}
		plain := site
		plain.Certificate = ""
		if with, without := fill(p.config, site), fill(p.config, plain); !strings.Contains(with, "/tls/cert") || !strings.Contains(with, "/tls/key") || strings.Contains(without, "ssl") {
			t.Errorf("%s: with TLS %s, without %s", p.Name, with, without)
		}
	}
	args := strings.Join(Models("")[0].args(site, ""), " ")
	if !strings.Contains(args, "--listen https://:8099 --tls-cert /tls/cert --tls-key /tls/key") || strings.Contains(args, "--port") {
		t.Errorf("the pool: %s", args)
	}
}

// A floor does not parse requests, so an argument says whether to close connections.
func TestFloors(t *testing.T) {
	for closing, want := range map[bool]string{false: "8099 /www/index.html 2 keep", true: "8099 /www/index.html 2 close"} {
		for _, f := range Floors("") {
			if got := strings.Join(f.args(Site{Base: "/www", Port: 8099, Cores: 2, Closing: closing}, ""), " "); got != want || !IsFloor(f.Name) {
				t.Errorf("%s: %s, want %s", f.Name, got, want)
			}
		}
	}
}

// script returns a target that runs a shell script.
func script(text string) Target {
	return Target{
		Name: "script", Program: "sh", Stop: syscall.SIGTERM,
		args: func(Site, string) []string { return []string{"-c", text} },
	}
}

func TestStartOfExitingProgram(t *testing.T) {
	_, err := script("echo no such thing; exit 3").Start(Site{Port: 1, Scratch: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "exited at once: no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestFindSaysHowToInstall(t *testing.T) {
	lost := Target{Name: "lost", Program: "no-such-program", Install: "apt-get install lost"}
	if _, err := lost.Find(); err == nil || err.Error() != "lost not found; run apt-get install lost" {
		t.Errorf("got %v", err)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	site := Site{Base: "/www", Port: 8099, Scratch: dir, Cores: 2}
	p := Target{
		Name: "shell", Program: "sh", config: "port {PORT};\n",
		args: func(_ Site, config string) []string { return []string{"-c", config} },
	}.With("more")
	args, err := p.Command(site)
	if err != nil || len(args) != 4 || args[3] != "more" {
		t.Fatalf("got %q, %v", args, err)
	}
	if text, err := os.ReadFile(args[2]); err != nil || string(text) != "port 8099;\n" {
		t.Errorf("configuration %q, %v", text, err)
	}
}

// TestKillEndsTheTree has a server whose child has its own process group.
func TestKillEndsTheTree(t *testing.T) {
	cmd := exec.Command("sh", "-c", "setsid sleep 60 & echo $!; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	v := &Server{cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(v.exited)
		_ = cmd.Wait()
	}()
	v.Kill()
	// It has been killed, but may not have ended, or its new parent may not have reaped it yet.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the child lives: %s", stat)
		}
	}
}
