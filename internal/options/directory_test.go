package options

import (
	"strings"
	"testing"
)

// The argument is the directory, wherever it stands. It overrides the variable and the file of
// --config.
func TestDirectory(t *testing.T) {
	file := saved(t, "base = site\nlist = true\n")
	for args, want := range map[string]Base{
		"shell":                    "shell",
		".":                        ".",
		"./none":                   "./none", // it looks like a path: who opens it knows more
		"/tmp -v":                  "/tmp",
		"-p 81 shell":              "shell",
		"-l shell -b ::1":          "shell",
		"-v -- shell":              "shell",
		"shell --config " + file:   "shell",
		"--config " + file:         "site",
		"-c " + file + " -v shell": "shell",
		"-v":                       "www",
	} {
		env := map[string]string{"PHALANX_BASE": "www"}
		if strings.HasPrefix(args, "--config") {
			delete(env, "PHALANX_BASE")
		}
		o, err := parseMaster(strings.Fields(args), func(key string) string { return env[key] })
		if err != nil || o.Base != want {
			t.Errorf("%s: %q, %v, want %q", args, o.Base, err, want)
		}
	}
}

func TestNoDirectory(t *testing.T) {
	const see = "; see 'master --help'"
	for _, tt := range []wrongArgument{
		{[]string{"site"}, "site: no such command or directory" + see},
		{[]string{"-v", "site"}, "site: no such command or directory" + see},
		{[]string{"-v", "--", "--port"}, "--port: no such command or directory" + see},
		{[]string{"shell", "-l", "shell"}, "shell: unexpected argument" + see},
		{[]string{"shell", "8000"}, "8000: unexpected argument; '-p 8000' listens on that port"},
		{[]string{"shell", ":8000"}, ":8000: unexpected argument; '-p 8000' listens on that port"},
		{[]string{"--base", "shell", "shell"}, "shell: --base names the directory already; leave one of them out"},
		{[]string{"-port", "80"}, "-port: unknown flag; write --port"},
		{[]string{"shell", "-base=shell"}, "-base: unknown flag; write --base"},
		{[]string{"--port8080"}, "--port8080: unknown flag; did you mean --port 8080? see 'master --help'"},
		{[]string{"--list8080"}, "--list8080: unknown flag" + see},
		{[]string{"-l", "8000"}, "8000: no such command or directory; 'master -p 8000' listens on that port"},
	} {
		if _, err := parseMaster(tt.args, noEnv); err == nil || err.Error() != tt.want {
			t.Errorf("parseMaster(%q):\n got %v\nwant %v", tt.args, err, tt.want)
		}
	}
}
