package cli

import (
	"strconv"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// firstCommand is a command line and its expected result.
type firstCommand struct {
	args   string
	serves string   // text in the response to GET /
	says   []string // text on standard output, or in the error
	code   int
}

func firstCommands(port string) []firstCommand {
	return []firstCommand{
		{"", "here", nil, 0},
		{"site", "site", nil, 0},
		{"./files -l", "a.txt", nil, 0},
		{"-p " + port + " -b 127.0.0.1 site", "site", nil, 0},                                // miniserve
		{"8000", "", []string{"-p 8000"}, 64},                                                // python3 -m http.server
		{"-d site", "", []string{"--base"}, 64},                                              // python3 -m http.server
		{"-port 8000", "", []string{"--port"}, 64},                                           // Go programs
		{"--root site", "", []string{"--base"}, 64},                                          // caddy file-server
		{"site/index.html", "", []string{"master share site/index.html", "master site"}, 64}, // miniserve
		{".", "here", nil, 0},
		{"share", "index.html", nil, 0},
		{"share site/index.html", "site", nil, 0},
		{"share nope", "", []string{"share nope", "no such file or directory"}, 78},
		{"serve .", "", []string{"master DIR", "master --help"}, 64},
		{"--port=abc", "", []string{"--port abc", "0 to 65535"}, 64},
		{"/nope", "", []string{"/nope", "no such directory"}, 78},
		{"--help", "", []string{"Usage: master", "share", "Ctrl-C"}, 0},
		{"help", "", []string{"Usage: master", "[DIR]", "help all"}, 0},
		{"version", "", []string{"phalanx "}, 0},
		{"servr", "", []string{"no such command or directory", "master --help"}, 64},
		{"./servr", "", []string{"./servr", "no such directory"}, 78},
		{"top", "", []string{"--admin ADDR"}, 64},
	}
}

// TestFirstCommands runs the first commands that users of other servers type: each does what was meant, or
// its error names the right command in one line. TestPrivilegedPort covers ports that need a privilege.
func TestFirstCommands(t *testing.T) {
	t.Parallel()
	here := harness.Tree(t, map[string]string{"index.html": "here", "site/index.html": "site", "files/a.txt": "a"})
	port := strconv.Itoa(harness.FreePort(t))
	for _, tt := range firstCommands(port) {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			plan := harness.Plan{Workdir: here, Args: strings.Fields(tt.args), Env: []string{"PHALANX_PORT=0"}}
			switch {
			case tt.serves != "" && strings.HasPrefix(tt.args, "share"):
				s := awaitShare(t, harness.Launch(t, plan))
				if status, body := fetch(t, s.url, ""); status != 200 || !strings.Contains(body, tt.serves) {
					t.Errorf("%d %s, want 200 with %q", status, body, tt.serves)
				}
			case tt.serves != "":
				plan.Env = append(plan.Env, "PHALANX_VERBOSE=1", "PHALANX_LOG_FORMAT=json")
				s := harness.ServeAs(t, plan)
				if status, body := fetch(t, "http://localhost:"+strconv.Itoa(s.Port)+"/", ""); status != 200 || !strings.Contains(body, tt.serves) {
					t.Errorf("%d %s, want 200 with %q", status, body, tt.serves)
				}
			case tt.code != 0:
				harness.Attempt(t, plan).Rejects(t, tt.code, tt.says...)
			default:
				o := harness.Attempt(t, plan)
				for _, word := range tt.says {
					if o.Code != 0 || o.Err != "" || !strings.Contains(o.Out, word) {
						t.Errorf("%+v, want %q", o, word)
					}
				}
			}
		})
	}
}
