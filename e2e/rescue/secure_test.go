package rescue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// errShaking is the end of a connection in its handshake, which is not rescued.
var errShaking = errors.New("in the handshake")

// encrypt begins TLS 1.3 on a connection.
func (c *client) encrypt() error {
	c.doing = "in the handshake"
	cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	if err := c.conn.Encrypt(cfg); err != nil {
		return errors.Join(errShaking, err)
	}
	return nil
}

// excuses reports whether what a client of TLS met is what docs/rescue.md says: the end
// of its handshake, or of a connection for which its worker was just encrypting.
func (c *crowd) excuses(err error) bool {
	switch {
	case c.https == 0 || !harness.IsCut(err):
		return false
	case errors.Is(err, errShaking):
		c.shaking++
	default:
		c.sealing++
	}
	return true
}

var (
	closedWhy   = regexp.MustCompile(`; (\d+) closed ([^;]*)`)
	mayBeClosed = "whose response cannot be continued"
)

// closings are how many connections rescues have closed, as the lines say.
func closings(t *testing.T, s *harness.Server) (n int) {
	t.Helper()
	_, lines := s.Log.All()
	for _, line := range lines {
		for _, m := range closedWhy.FindAllStringSubmatch(line, -1) {
			if m[2] != mayBeClosed {
				t.Errorf("line on standard error: %s", line)
			}
			more, _ := strconv.Atoi(m[1])
			n += more
		}
	}
	return n
}

// TestKilledAtEveryPointSecure is TestKilledAtEveryPoint over TLS 1.3: a death costs
// handshakes, and at most the one connection for which the worker was just encrypting.
func TestKilledAtEveryPointSecure(t *testing.T) {
	const names = "commit committed done accepted receive received send sent close taken"
	port, https := harness.FreePort(t), harness.FreePort(t)
	s := harness.ServeSilentlyAt(t, port, killing(t, *killOne, 100, "--workers", "3", "--tls-self-signed", "--plain", "serve",
		"--listen", fmt.Sprintf("https://127.0.0.1:%d", https), "--listen", fmt.Sprintf("http://127.0.0.1:%d", port)))
	c := gatherAt(t, port, https, 4)
	for began := time.Now(); !over(s, began, names); {
		<-time.After(100 * time.Millisecond)
	}
	c.report()
	at := points(t, s)
	deaths := 0
	for _, n := range at {
		deaths += n
	}
	said := closings(t, s)
	t.Logf("%d deaths: %v; %d handshakes and %d connections closed, of %d", deaths, at, c.shaking, c.sealing, said)
	if c.sealing > deaths || c.sealing+c.shaking > said {
		t.Errorf("%d handshakes and %d connections ended with %d deaths, whose lines say %d", c.shaking, c.sealing, deaths, said)
	}
	for _, point := range strings.Fields(names) {
		if at[point] == 0 {
			t.Errorf("nobody was killed at point %q", point)
		}
	}
}
