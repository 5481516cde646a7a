package clients

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestBandwidthLimit downloads with curl in every way from a server with --rate: each download is complete and
// takes as long as the limit requires, also if it continues in another worker after a reload or a worker's
// death.
func TestBandwidthLimit(t *testing.T) {
	t.Parallel()
	data := harness.Noise("rate", 300<<10)
	base := harness.OpenDir(t)
	harness.Write(t, filepath.Join(base, "f"), data)
	for _, engine := range []string{"epoll", "netpoll"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			port := harness.FreePort(t)
			s := harness.ServeAs(t, harness.Plan{Args: []string{"--base", base, "--tls-self-signed", "--plain", "serve", "-v", "--listen", "https://127.0.0.1:0",
				"--listen", fmt.Sprintf("http://127.0.0.1:%d", port), "--workers", "1", "--engine", engine, "--rate", "100k", "--rate-after", "100k", "--min-rate", "1M"}})
			clear, secure := fmt.Sprintf("http://127.0.0.1:%d/f", port), fmt.Sprintf("https://127.0.0.1:%d/f", s.Port)
			rated(t, data, func() { s.Signal(syscall.SIGHUP) }, []string{clear}, []string{"--http2-prior-knowledge", clear},
				[]string{"-k", "--http1.1", secure}, []string{"-k", "--http2", secure})
			if engine == "epoll" {
				harness.Await(t, 20*time.Second, "one worker", func() bool { return len(s.Workers()) == 1 })
				rated(t, data, func() { harness.Kill(t, s.Workers()[0], syscall.SIGKILL) }, []string{clear}, []string{clear})
			}
		})
	}
}

// rated downloads in several ways at once, and calls meanwhile during the downloads.
func rated(t *testing.T, data []byte, meanwhile func(), ways ...[]string) {
	t.Helper()
	curl := newProgram(t, "curl")
	var downloads sync.WaitGroup
	begun := make(chan struct{}, len(ways))
	for n, way := range ways {
		downloads.Go(func() {
			file := filepath.Join(curl.home, fmt.Sprint(n))
			began := time.Now()
			begun <- struct{}{}
			printed, code := curl.try(append([]string{"-sS", "-o", file}, way...)...)
			took := time.Since(began)
			got, err := os.ReadFile(file)
			if code != 0 || err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q: exit status %d, %d bytes, error %v\n%s", way, code, len(got), err, printed)
			}
			// 200k at 100k a second. A connection's time begins with that of the loop's iteration, which a busy
			// machine may have made long.
			if took < 1300*time.Millisecond {
				t.Errorf("%q took %v, want about 2 s", way, took)
			}
			t.Logf("%q took %v", way, took)
		})
	}
	for range ways {
		<-begun
	}
	harness.Await(t, 20*time.Second, "110 KiB of each download", func() bool {
		for n := range ways {
			if info, err := os.Stat(filepath.Join(curl.home, fmt.Sprint(n))); err != nil || info.Size() < 110<<10 {
				return false
			}
		}
		return true
	})
	meanwhile()
	downloads.Wait()
}
