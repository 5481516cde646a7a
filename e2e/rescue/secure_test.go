package rescue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// errHandshake is the end of a connection during its TLS handshake, which is not rescued.
var errHandshake = errors.New("in the handshake")

// encrypt starts TLS 1.3 on the connection.
func (c *client) encrypt() error {
	c.doing = "in the handshake"
	cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	if err := c.conn.Encrypt(cfg); err != nil {
		return errors.Join(errHandshake, err)
	}
	return nil
}

// excuses reports whether docs/rescue.md allows the error that a TLS client met, and counts it:
// the end of a handshake, or of a connection for which the worker was just encrypting.
func (c *crowd) excuses(err error) bool {
	switch {
	case c.https == 0 || !harness.IsCut(err):
		return false
	case errors.Is(err, errHandshake):
		c.handshakes++
	default:
		c.sealing++
	}
	return true
}

var (
	closedWhy   = regexp.MustCompile(`; (\d+) closed ([^;]*)`)
	mayBeClosed = "whose response cannot be continued"
)

// countClosed returns the number of connections that rescues closed, according to the log.
func countClosed(t *testing.T, s *harness.Server) (n int) {
	t.Helper()
	_, lines := s.Log.All()
	for _, line := range lines {
		for _, m := range closedWhy.FindAllStringSubmatch(line, -1) {
			if m[2] != mayBeClosed {
				t.Errorf("unexpected line on standard error: %s", line)
			}
			more, _ := strconv.Atoi(m[1])
			n += more
		}
	}
	return n
}

// TestKilledAtEveryPointSecure is TestKilledAtEveryPoint over TLS 1.3: a worker's death ends its
// handshakes and at most one other connection, the one for which it was just encrypting.
func TestKilledAtEveryPointSecure(t *testing.T) {
	const names = "commit committed done accepted receive received send sent close taken"
	port, https := harness.FreePort(t), harness.FreePort(t)
	s := harness.ServeSilentlyAt(t, port, killing(t, *killOne, 100, "--workers", "3", "--tls-self-signed", "--plain", "serve",
		"--listen", fmt.Sprintf("https://127.0.0.1:%d", https), "--listen", fmt.Sprintf("http://127.0.0.1:%d", port)))
	c := newCrowdAt(t, port, https, 4)
	for began := time.Now(); !over(s, began, names); {
		<-time.After(100 * time.Millisecond)
	}
	c.report()
	_, deaths := points(t, s, names)
	logged := countClosed(t, s)
	t.Logf("%d handshakes and %d connections ended, %d closed according to the log", c.handshakes, c.sealing, logged)
	if c.sealing > deaths || c.sealing+c.handshakes > logged {
		t.Errorf("%d handshakes and %d connections ended in %d deaths, and the log says %d", c.handshakes, c.sealing, deaths, logged)
	}
}
