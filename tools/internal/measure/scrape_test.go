package measure

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Metrics are read until stop is called.
func TestScrape(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string) // unbuffered: one scrape at a time
	go func() {
		defer close(lines)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			c.Close()
			lines <- line
		}
	}()
	stop := scrape(path, time.Millisecond)
	for range 3 {
		if line := <-lines; !strings.HasPrefix(line, "GET /metrics ") {
			t.Errorf("requested %q", line)
		}
	}
	go func() {
		for range lines {
		}
	}()
	stop()
	l.Close()
	scrape("", time.Millisecond)() // no endpoint
	scrape(path, time.Millisecond)()
}
