package http2

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// inClearOnly is the only case of h2spec that fails in cleartext. It wants no response to a client
// that sends neither version's first bytes; a port that speaks both versions responds over
// HTTP/1.1 and closes, see TestInvalidPreface.
const inClearOnly = "Sends invalid connection preface"

// report is the JUnit report of h2spec.
type report struct {
	Suites []struct {
		Cases []struct {
			Section string `xml:"package,attr"`
			Name    string `xml:"classname,attr"`
			Failure string `xml:"failure"`
			Error   string `xml:"error"`
			Skipped *bool  `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// TestH2spec passes every case of h2spec, the strict ones too. h2spec is built in a module of its
// own, so that the server does not depend on its dependencies.
func TestH2spec(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 1000)
	program := filepath.Join(harness.OpenDir(t), "h2spec")
	module := filepath.Join("..", "..", "tools", "h2spec")
	if out, err := exec.Command("go", "-C", module, "build", "-o", program, "github.com/summerwind/h2spec/cmd/h2spec").CombinedOutput(); err != nil {
		t.Fatalf("build h2spec: %v\n%s", err, out)
	}
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		ways(t, base, func(t *testing.T, s *harness.Server, way string) {
			path := filepath.Join(t.TempDir(), "report.xml")
			args := []string{"-S", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-j", path, "-o", "20"}
			if way == overTLS {
				args = append(args, "-t", "-k")
			}
			out, err := exec.Command(program, args...).CombinedOutput()
			text, readErr := os.ReadFile(path)
			if readErr != nil {
				t.Fatalf("%v, %v\n%s", err, readErr, out)
			}
			var r report
			if err := xml.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			passed := 0
			for _, suite := range r.Suites {
				for _, c := range suite.Cases {
					if c.Failure == "" && c.Error == "" && c.Skipped == nil || way == inClear && c.Name == inClearOnly {
						passed++
					} else {
						t.Errorf("%s %s: %s%s", c.Section, c.Name, c.Failure, c.Error)
					}
				}
			}
			if passed != 146 {
				t.Errorf("%d of 146 cases passed\n%s", passed, out)
			}
		}, "--model", model)
	})
}

// TestInvalidPreface sends a first line of neither HTTP/1.1 nor HTTP/2: 400 and a close.
func TestInvalidPreface(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 1000)
	s := serve(t, base, inClear)
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprint(c, "INVALID CONNECTION PREFACE\r\n\r\n")
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 400 ") || !strings.Contains(string(got), "Connection: close\r\n") {
		t.Errorf("%.100q, error %v; want 400 with Connection: close", got, err)
	}
}
