package main

import (
	"strings"
	"testing"

	"phalanx/internal/options"
)

// Only options that may not have the expected effect are reported.
func TestWarn(t *testing.T) {
	for args, want := range map[string]string{
		"":                                 "",
		"--max-connections-per-client 100": "",
		"--trusted-proxies 10.0.0.1":       "",
		"--max-connections-per-client 100 --proxy-protocol 10.0.0.1":  "",
		"--max-connections-per-client 100 --trusted-proxies 10.0.0.1": "--max-connections-per-client does not count the clients of --trusted-proxies",
		"--admin 0.0.0.0:9090": "admin endpoint on 0.0.0.0:9090: anybody who can reach it",
		"--admin 127.0.0.1:9090 --max-connections-per-client 100": "",
	} {
		o, err := options.Start{Name: "master", Args: strings.Fields(args), Getenv: func(string) string { return "" }}.Options()
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		warn(o, func(text string) { told = append(told, text) })
		if len(told) > 1 || !strings.HasPrefix(strings.Join(told, ""), want) || (want == "") != (len(told) == 0) {
			t.Errorf("%s: %q, want %q", args, told, want)
		}
	}
}
