package rescue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
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

// countClosed returns the numbers of connections that rescues closed, by reason, according to the log.
func countClosed(s *harness.Server) map[string]int {
	_, lines := s.Log.All()
	n := map[string]int{}
	for _, line := range lines {
		for _, m := range closedWhy.FindAllStringSubmatch(line, -1) {
			n[m[2]] += harness.Atoi(m[1])
		}
	}
	return n
}

// TestKilledAtEveryPointSecure is TestKilledAtEveryPoint over TLS 1.3, without and with PROXY headers: a worker's death
// ends its handshakes and at most one other connection, the one for which it was just encrypting.
func TestKilledAtEveryPointSecure(t *testing.T) {
	t.Run("direct", func(t *testing.T) { testKilledAtEveryPointSecure(t, "") })
	t.Run("proxied", func(t *testing.T) { testKilledAtEveryPointSecure(t, "127.0.0.2") })
}

// testKilledAtEveryPointSecure has clients behind a proxy, unless its address is empty.
func testKilledAtEveryPointSecure(t *testing.T, proxy string) {
	const names = "commit committed done accepted receive received send sent close taken"
	port, https := harness.FreePort(t), harness.FreePort(t)
	args := []string{"--workers", "3", "--tls-self-signed", "--plain", "serve",
		"--listen", fmt.Sprintf("https://127.0.0.1:%d", https), "--listen", fmt.Sprintf("http://127.0.0.1:%d", port)}
	if proxy != "" {
		args = append(args, "--proxy-protocol", proxy)
	}
	s := harness.ServeSilentlyAt(t, port, killing(t, *killOne, 100, args...))
	c := newCrowdAt(t, port, https, proxy, 4)
	for began := time.Now(); !over(s, began, names); {
		<-time.After(100 * time.Millisecond)
	}
	c.report()
	// A client may notice the end of its connection before the rescue that closed it is logged.
	harness.Holds(5*time.Second, func() bool { return countClosed(s)[mayBeClosed] >= c.sealing+c.handshakes })
	_, deaths := points(t, s, names)
	closed := countClosed(s)
	logged := closed[mayBeClosed]
	if delete(closed, mayBeClosed); len(closed) > 0 {
		t.Errorf("connections closed for other reasons: %v", closed)
	}
	t.Logf("%d handshakes and %d connections ended, %d closed according to the log", c.handshakes, c.sealing, logged)
	if c.sealing > deaths || c.sealing+c.handshakes > logged {
		t.Errorf("%d handshakes and %d connections ended in %d deaths, and the log says %d", c.handshakes, c.sealing, deaths, logged)
	}
}
