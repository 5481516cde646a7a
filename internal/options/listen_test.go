package options

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
	"phalanx/internal/listen"
)

func TestListen(t *testing.T) {
	for v, want := range map[string]Listen{
		"http://:80":                        {Port: 80},
		"http://:80/":                       {Port: 80},
		"http://*:0":                        {},
		"http://127.0.0.1":                  {Host: "127.0.0.1", Port: 80},
		"https://":                          {},
		"https://:443":                      {Secure: true, Port: 443},
		"https://[::1]":                     {Secure: true, Host: "::1", Port: 443},
		"https://[::1]:8443":                {Secure: true, Host: "::1", Port: 8443},
		"http://[fe80::1%eth0]:81":          {Host: "fe80::1%eth0", Port: 81},
		"unix:/run/phalanx/http.sock":       {Path: "/run/phalanx/http.sock", Mode: 0o660},
		"unix:///run/phalanx/http.sock":     {Path: "/run/phalanx/http.sock", Mode: 0o660},
		"unix://///x":                       {Path: "/x", Mode: 0o660},
		"unix:http.sock":                    {Path: "http.sock", Mode: 0o660},
		"unix:./@x":                         {Path: "./@x", Mode: 0o660},
		"unix:/run/x.sock?mode=0666":        {Path: "/run/x.sock", Mode: 0o666},
		"unix:/run/x.sock?mode=600":         {Path: "/run/x.sock", Mode: 0o600},
		"unix:/run/x.sock?mode=0660":        {Path: "/run/x.sock", Mode: 0o660},
		"unix:/" + strings.Repeat("a", 106): {Path: "/" + strings.Repeat("a", 106), Mode: 0o660},
	} {
		var l Listen
		err := l.UnmarshalFlag(v)
		if v == "https://" {
			if err == nil {
				t.Errorf("%s: %+v", v, l)
			}
			continue
		}
		if err != nil || l != want {
			t.Errorf("%s: %+v, %v, want %+v", v, l, err, want)
			continue
		}
		var again Listen
		if err := again.UnmarshalFlag(l.String()); err != nil || again != l {
			t.Errorf("%s is formatted as %s, which is %+v, %v", v, l, again, err)
		}
	}
}

func TestListenErrors(t *testing.T) {
	const forms = "must be http://ADDR:PORT, https://ADDR:PORT or unix:PATH, such as http://:80, https://[::1]:8443 or unix:/run/phalanx/http.sock"
	const port = "the port must be 0 to 65535 (0 chooses a free one)"
	const mode = "the mode must be octal, from 0200 to 0666, such as 0660"
	for v, want := range map[string]string{
		"":                                  forms,
		"http:":                             forms,
		"ftp://:21":                         forms,
		"tcp://:80":                         forms,
		"HTTP://:80":                        forms,
		"website":                           forms,
		"80":                                "has no scheme; write http://:80",
		":80":                               "has no scheme; write http://:80",
		"127.0.0.1:80":                      "has no scheme; write http://127.0.0.1:80",
		"[::1]:80":                          "has no scheme; write http://[::1]:80",
		"127.0.0.1":                         "has no scheme; write http://127.0.0.1:80",
		"::1":                               "has no scheme; write http://[::1]:80",
		"[::1]":                             "has no scheme; write http://[::1]:80",
		"*:80":                              "has no scheme; write http://:80",
		"http:80":                           "needs two slashes; write http://:80",
		"https:[::1]:443":                   "needs two slashes; write https://[::1]:443",
		"localhost":                         "the host must be an IP address; write http://127.0.0.1:80, or http://[::1]:80 for IPv6",
		"localhost:81":                      "the host must be an IP address; write http://127.0.0.1:81, or http://[::1]:81 for IPv6",
		"example.org:81":                    "the host must be an IP address of this machine, or empty for all; write for example http://127.0.0.1:81 or http://:81",
		":99999":                            "the port must be 0 to 65535 (0 chooses a free one)",
		"/run/x.sock":                       "has no scheme; write unix:/run/x.sock",
		"http://":                           "needs a port; write http://:80",
		"https:///":                         "needs a port; write https://:443",
		"http://:":                          port,
		"http://:x":                         port,
		"http://:65536":                     port,
		"http://:-1":                        port,
		"http://:+1":                        port,
		"http://127.0.0.1:":                 port,
		"http://:80/x":                      "must end after the port; write http://ADDR:PORT, such as http://:80",
		"https://a@b:443":                   "must end after the port; write https://ADDR:PORT, such as https://:443",
		"http://localhost:81":               "the host must be an IP address; write http://127.0.0.1:81, or http://[::1]:81 for IPv6",
		"https://example.org":               "the host must be an IP address of this machine, or empty for all; write for example https://127.0.0.1:443 or https://:443",
		"http://[::1]x:80":                  "the host must be an IP address of this machine, or empty for all; write for example http://127.0.0.1:80 or http://:80",
		"http://::%[":                       "the host must be an IP address of this machine, or empty for all; write for example http://127.0.0.1:80 or http://:80",
		"http://[fe80::1]:80":               "a link-local address needs its interface; write for example http://[fe80::1%eth0]:80",
		"unix:":                             "must name the file of the socket, such as unix:/run/phalanx/http.sock",
		"unix:?mode=0666":                   "must name the file of the socket, such as unix:/run/phalanx/http.sock",
		"unix:/run/":                        "is a directory; name the socket: unix:/run/http.sock",
		"unix:@x":                           "a socket without a file has no permissions; name a file, such as unix:/run/phalanx/http.sock",
		"unix:/x?mode=0777":                 mode,
		"unix:/x?mode=0444":                 mode,
		"unix:/x?mode=9":                    mode,
		"unix:/x?mode=":                     mode,
		"unix:/x?user=www":                  "after the path only a mode may follow, such as ?mode=0666",
		"unix:/" + strings.Repeat("a", 107): "is too long for the path of a unix socket; the limit is 107 bytes",
	} {
		_, err := parseMaster([]string{"--listen", v}, noEnv)
		if exitcode.Code(err) != exitcode.Usage || err.Error() != "--listen "+human.Quoted(v)+": "+want {
			t.Errorf("%s:\n got %v\nwant %s", v, err, want)
		}
	}
}

// Some addresses contradict each other or other flags.
func TestListenContradictions(t *testing.T) {
	many := slices.Repeat([]string{"--listen=http://:0"}, MaxListen+1)
	for args, want := range map[string]string{
		"--listen http://:80 --listen http://:80":           "--listen http://:80: given twice; leave one out",
		"--listen http://:80 --listen http://127.0.0.1:80":  "--listen http://127.0.0.1:80: http://:80 has it already; leave one of them out, or choose another port",
		"--listen http://[::]:80 --listen http://[::1]:80":  "--listen http://[::1]:80: http://[::]:80 has it already; leave one of them out, or choose another port",
		"--listen unix:x --listen unix:./x":                 "--listen unix:./x: unix:x has it already; leave one of them out, or choose another path",
		"--listen http://:81 --port 80":                     "--port: --listen says where to listen; write --listen http://:80 instead",
		"--listen http://:81 -b ::1":                        "--bind: --listen says where to listen; write --listen http://[::1]:8080 instead",
		"--listen http://:81 --port 8080":                   "--port: --listen says where to listen; write --listen http://:8080 instead",
		"--listen http://:81 --admin 127.0.0.1:81":          "--admin 127.0.0.1:81: is where --listen http://:81 serves the website; choose another port",
		"--listen http://127.0.0.1:81 --admin localhost:81": "--admin localhost:81: is where --listen http://127.0.0.1:81 serves the website; choose another port",
		"--port 81 --admin [::1]:81":                        "--admin [::1]:81: is where --port 81 serves the website; choose another port",
		"--listen unix:/run/x --admin /run/./x":             "--admin /run/./x: is where --listen unix:/run/x serves the website; choose another path",
		strings.Join(many, " "):                             "--listen: given " + strconv.Itoa(MaxListen+1) + " times; the limit is " + strconv.Itoa(MaxListen),
	} {
		_, err := parseMaster(strings.Fields(args), noEnv)
		if exitcode.Code(err) != exitcode.Usage || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", args, err, want)
		}
	}
	for _, args := range []string{
		"--listen http://0.0.0.0:80 --listen http://[::]:80",
		"--listen http://:0 --listen http://:0",
		"--listen http://127.0.0.1:80 --listen http://127.0.0.2:80 --admin 127.0.0.3:80",
		"--listen http://:80 --listen http://:81 --listen unix:a --listen unix:b --admin ./c",
		"--port 0 --admin 127.0.0.1:0",
	} {
		if _, err := parseMaster(strings.Fields(args), noEnv); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	env := func(key string) string {
		return map[string]string{"PHALANX_LISTEN": "http://:81\nunix:/x\n"}[key]
	}
	for _, tt := range []struct {
		args string
		env  func(string) string
		want []listen.Address
	}{
		{"", noEnv, []listen.Address{{Port: 8080, Short: true}}},
		{"-b ::1 -p 80", noEnv, []listen.Address{{Host: "::1", Port: 80, Short: true}}},
		{"--listen http://[::1]:80 --listen unix:/s", noEnv, []listen.Address{{Host: "::1", Port: 80}, {Path: "/s", Mode: 0o660}}},
		{"", env, []listen.Address{{Port: 81}, {Path: "/x", Mode: 0o660}}},
	} {
		o, err := parseMaster(strings.Fields(tt.args), tt.env)
		if got := o.Addresses(); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %+v, %v, want %+v", tt.args, got, err, tt.want)
		}
	}
	if _, err := parseMaster([]string{"-p", "80"}, env); err == nil {
		t.Error("a variable and --port are accepted together")
	}
}

// The string form of an accepted address is accepted, as the same address.
func FuzzListen(f *testing.F) {
	for _, seed := range []string{"http://:80", "https://[::1]:8443", "http://[fe80::1%eth0]", "unix:/run/x?mode=0600", "unix:///x", "http://*:0", "unix:a # b", "http://[::]]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, v string) {
		var l, again Listen
		if l.UnmarshalFlag(v) != nil {
			return
		}
		if err := again.UnmarshalFlag(l.String()); err != nil || again != l {
			t.Errorf("%q is %+v, formatted as %q, which is %+v, %v", v, l, l.String(), again, err)
		}
	})
}
