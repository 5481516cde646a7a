package https

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// fetcher fetches the files of a task with a common client and stores each at its path in the directory.
type fetcher func(t *testing.T, v task)

// task describes what a client has to fetch.
type task struct {
	port  int
	ca    string // path of the authority's certificate
	cfg   *tls.Config
	files []string
	dir   string
}

func (v task) url(file string) string {
	return fmt.Sprintf("https://localhost:%d/%s", v.port, (&url.URL{Path: file}).EscapedPath())
}

// TestClients fetches every file of the demo site with each client and compares it.
func TestClients(t *testing.T) {
	t.Parallel()
	site := harness.SiteDir(t)
	a := newAuthority(t)
	s := harness.ServeAs(t, plan(site, a.save(a.fresh()).flags()...))
	clients := map[string]fetcher{"curl": curl, "wget": wget, "openssl": openssl, "python": python, "go": golang}
	if compiler, err := exec.LookPath("javac"); err == nil {
		t.Logf("Java: %s", compiler)
		clients["java"] = java
	}
	for name, fetch := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := task{port: s.Port, ca: a.file, cfg: a.config(), files: harness.FilesOf(t, site), dir: harness.OpenDir(t)}
			fetch(t, v)
			for _, file := range v.files {
				want := harness.Read(t, filepath.Join(site, file))
				got, err := os.ReadFile(filepath.Join(v.dir, file))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, want the %d of the file; error %v", file, len(got), len(want), err)
				}
			}
		})
	}
}

// run runs a program in the directory of a task and returns its output.
func (v task) run(t *testing.T, stdin string, words ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.InTime(30*time.Second))
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Tool(t, "run scripts/test-tools.sh", words[0]), words[1:]...)
	cmd.Dir, cmd.Stdin = v.dir, strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + v.dir, "LC_ALL=C.UTF-8"}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", words[0], err, complaints.String())
	}
	return out
}

func curl(t *testing.T, v task) {
	var config strings.Builder
	for _, file := range v.files {
		fmt.Fprintf(&config, "url = %q\noutput = %q\n", v.url(file), file)
	}
	v.run(t, config.String(), "curl", "-sS", "--fail", "--cacert", v.ca, "--create-dirs", "--config", "-")
}

func wget(t *testing.T, v task) {
	var list strings.Builder
	for _, file := range v.files {
		fmt.Fprintln(&list, v.url(file))
	}
	v.run(t, list.String(), "wget", "-q", "--ca-certificate", v.ca, "-x", "-nH", "-i", "-")
}

// openssl pipelines the requests on one connection.
func openssl(t *testing.T, v task) {
	var requests strings.Builder
	for i, file := range v.files {
		last := ""
		if i == len(v.files)-1 {
			last = "Connection: close\r\n"
		}
		fmt.Fprintf(&requests, "GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", (&url.URL{Path: file}).EscapedPath(), last)
	}
	out := v.run(t, requests.String(), "openssl", "s_client", "-quiet", "-verify_quiet", "-verify_return_error", "-ign_eof",
		"-CAfile", v.ca, "-servername", "localhost", "-connect", harness.Loopback(v.port))
	in := bufio.NewReader(bytes.NewReader(out))
	for _, file := range v.files {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", file, r.Status, err)
		}
		harness.Write(t, filepath.Join(v.dir, file), body)
	}
}

func python(t *testing.T, v task) {
	const program = `
import http.client, os, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
connection = http.client.HTTPSConnection("localhost", port, context=ssl.create_default_context(cafile=ca), timeout=60)
for line in sys.stdin:
    path, file = line.rstrip("\n").split("\t")
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200, (path, response.status)
    os.makedirs(os.path.dirname(file) or ".", exist_ok=True)
    open(file, "wb").write(response.read())
`
	var list strings.Builder
	for _, file := range v.files {
		fmt.Fprintf(&list, "/%s\t%s\n", (&url.URL{Path: file}).EscapedPath(), file)
	}
	v.run(t, list.String(), "python3", "-c", program, fmt.Sprint(v.port), v.ca)
}

func golang(t *testing.T, v task) {
	transport := &http.Transport{TLSClientConfig: v.cfg}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: harness.ClientTimeout}
	for _, file := range v.files {
		r, err := client.Get(v.url(file))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", file, r.Status, err)
		}
		harness.Write(t, filepath.Join(v.dir, file), body)
	}
}

const javaProgram = `
import java.io.*;
import java.net.URI;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

class Fetch {
    public static void main(String[] args) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (InputStream in = new FileInputStream(args[1])) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
        BufferedReader list = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line = list.readLine(); line != null; line = list.readLine()) {
            String[] words = line.split("\t");
            Path to = Paths.get(words[1]).toAbsolutePath();
            Files.createDirectories(to.getParent());
            try (InputStream in = URI.create(words[0]).toURL().openStream()) {
                Files.copy(in, to, StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }
}
`

func java(t *testing.T, v task) {
	program := filepath.Join(harness.OpenDir(t), "Fetch.java")
	harness.Write(t, program, []byte(javaProgram))
	var list strings.Builder
	for _, file := range v.files {
		fmt.Fprintf(&list, "%s\t%s\n", v.url(file), path.Clean(file))
	}
	v.run(t, list.String(), "java", program, fmt.Sprint(v.port), v.ca)
}
