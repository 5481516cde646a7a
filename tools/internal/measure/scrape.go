package measure

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// scrape reads the metrics of an admin endpoint at an interval, as Prometheus
// does, until stop is called. If socket is "" it does nothing.
func scrape(socket string, every time.Duration) (stop func()) {
	if socket == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var joined sync.WaitGroup
	joined.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			scrapeOnce(ctx, socket)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		joined.Wait()
	}
}

func scrapeOnce(ctx context.Context, socket string) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err == nil {
		_, _ = io.Copy(io.Discard, c) // the content does not matter
	}
}
