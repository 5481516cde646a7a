package https

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

var scanAll = flag.Bool("scan.all", false, "run all checks of testssl.sh, which takes a minute")

// scanned starts a server with a certificate that scanners do not complain about.
func scanned(t *testing.T) (*harness.Server, *authority) {
	t.Helper()
	a := newAuthority(t)
	a.revocation = "http://ocsp.example.test/"
	return harness.ServeAs(t, plan(harness.Tree(t, map[string]string{"index.html": "front"}), append(a.save(a.fresh()).flags(), "--hsts", "8760h")...)), a
}

// TestSSLScan compares the versions and cipher suites that sslscan finds with the intended ones.
func TestSSLScan(t *testing.T) {
	t.Parallel()
	s, _ := scanned(t)
	ctx, cancel := context.WithTimeout(t.Context(), harness.InTime(30*time.Second))
	defer cancel()
	out, err := exec.CommandContext(ctx, harness.Tool(t, "run scripts/test-tools.sh", "sslscan"), "--no-colour", harness.Loopback(s.Port)).Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	for _, version := range []string{"SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"} {
		if !regexp.MustCompile(version + ` +disabled`).MatchString(text) {
			t.Errorf("%s is not disabled", version)
		}
	}
	var suites []string
	for _, m := range regexp.MustCompile(`(?m)^(?:Preferred|Accepted) +TLSv1\.[23] +\d+ bits +(\S+)`).FindAllStringSubmatch(text, -1) {
		suites = append(suites, m[1])
	}
	slices.Sort(suites)
	want := []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
		"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
	}
	if !slices.Equal(suites, want) {
		t.Errorf("cipher suites %q\nwant %q", suites, want)
	}
	for _, line := range []string{
		"Server supports TLS Fallback SCSV", "Session renegotiation not supported", "TLSv1.3 not vulnerable to heartbleed", "TLSv1.2 not vulnerable to heartbleed",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the output lacks the line %q", line)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}

// TestTestssl accepts no finding of testssl.sh with a severity above "low".
func TestTestssl(t *testing.T) {
	t.Parallel()
	s, a := scanned(t)
	report := filepath.Join(harness.OpenDir(t), "report.json")
	args := []string{"--quiet", "--color", "0", "--warnings", "off", "--add-ca", a.file, "--ip", "127.0.0.1", "--jsonfile", report}
	limit := 8 * time.Minute
	if !*scanAll {
		args = append(args, "--protocols", "--vulnerable")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Tool(t, "run scripts/test-tools.sh", "testssl", "testssl.sh"), append(args, fmt.Sprintf("https://localhost:%d", s.Port))...)
	cmd.Env = append(harness.BareEnv(), "HOME="+harness.OpenDir(t), "TERM=dumb", "HEADER_MAXSLEEP=60", // seconds to wait for a response
		"NO_ENGINE=true") // else it warns where OpenSSL has no GOST
	out, err := cmd.CombinedOutput()
	var findings []struct{ ID, Severity, Finding string }
	text, readErr := os.ReadFile(report)
	if readErr == nil {
		readErr = json.Unmarshal(text, &findings)
	}
	if readErr != nil || len(findings) < 20 {
		t.Fatalf("testssl.sh: %v; report: %v, %d findings, want at least 20:\n%s", err, readErr, len(findings), out)
	}
	for _, f := range findings {
		switch f.Severity {
		case "OK", "INFO":
		case "LOW":
			t.Logf("low: %s: %s", f.ID, f.Finding)
		default:
			t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	t.Logf("%d findings", len(findings))
}
