package options

import "testing"

func TestAdminErrors(t *testing.T) {
	const want = "--admin 9090: is a port without a host; write 127.0.0.1:9090, or 0.0.0.0:9090 for every address of this machine"
	if _, err := parseMaster([]string{"--admin=9090"}, noEnv); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestAccessLogErrors(t *testing.T) {
	for flag, want := range map[string]string{
		"--access-log=":             `--access-log "": must name a file, such as access.log, or - for standard output`,
		"--access-log=/var/log/":    "--access-log /var/log/: must name a file, such as access.log, or - for standard output",
		"--access-log-format=nginx": "--access-log-format nginx: must be common, combined, vhost_combined or json",
	} {
		if _, err := parseMaster([]string{flag}, noEnv); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %v", err, want)
		}
	}
}
