package load

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// closingServer starts a server that closes its connections when closing is closed, and
// continues to serve new ones.
func closingServer(t *testing.T, closing <-chan struct{}) string {
	t.Helper()
	return accepting(t, func(c net.Conn, _ int) {
		select {
		case <-closing: // later connections stay open
		default:
			go func() {
				<-closing
				c.Close()
			}()
		}
		go answer(c, 100)
	})
}

func TestDisturbed(t *testing.T) {
	for name, c := range map[string]struct {
		closing bool
		refuse  func(int) bool
		fails   bool
	}{
		"kept":   {false, never, false},
		"closed": {true, never, false},
		"failed": {true, func(n int) bool { return n%2 == 1 }, true},
	} {
		patiently(t, 120*time.Millisecond, func(last time.Duration) error {
			disturbed := 0
			tally := Disturbed{
				Address: server(t, 1000, c.refuse), Path: "/", Clients: 3, Last: last, Closing: c.closing,
				Pause: time.Millisecond, Disturb: func() { disturbed++ }, Times: 4,
			}.Run(t.Context())
			if disturbed != 4 || tally.Requests < 10 || (tally.Failed > 0) != c.fails || tally.Closed != 0 {
				return fmt.Errorf("%s: disturbed %d times, %+v", name, disturbed, tally)
			}
			return nil
		})
	}
}

// Connections that the server closes while they are idle are counted, and the
// clients continue.
func TestDisturbedClosed(t *testing.T) {
	patiently(t, 200*time.Millisecond, func(last time.Duration) error {
		closing := make(chan struct{})
		tally := Disturbed{
			Address: closingServer(t, closing), Path: "/", Clients: 3, Last: last,
			Pause: 20 * time.Millisecond, Disturb: func() { close(closing) }, Times: 1,
		}.Run(t.Context())
		if tally.Closed+tally.Failed < 1 || tally.Closed+tally.Failed > 3 || tally.Requests < 6 {
			return fmt.Errorf("%+v", tally)
		}
		return nil
	})
}
