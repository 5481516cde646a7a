package rescue

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// poisoned is a server with one worker and three clients: one is idle, one downloads, and one is
// about to send a request that crashes the worker.
type poisoned struct {
	*harness.Server
	idle, poison *harness.Client
	download     *harness.Download
}

func poison(t *testing.T) poisoned {
	t.Helper()
	s := harness.ServeSilently(t, harness.Plan{
		Binary: filepath.Join(harness.Tagged(t, "killpoints"), "master"), Args: []string{"--base", tree(t), "--workers", "1"},
	})
	p := poisoned{Server: s, idle: s.Dial(), poison: s.Dial()}
	s.MustAsk(p.idle, harness.Request("GET", "/"))
	s.MustAsk(p.poison, harness.Request("GET", "/"))
	p.download = s.Begin("/large.bin", narrow)
	return p
}

// deaths counts the log lines that say that a worker died.
func (p *poisoned) deaths() int {
	_, lines := p.Log.All()
	n := 0
	for _, line := range lines {
		if strings.Contains(line, " died: ") {
			n++
		}
	}
	return n
}

// TestPoisonRequest sends a request that crashes its worker. The request is tried once more, then
// its connection is closed; all other connections survive.
func TestPoisonRequest(t *testing.T) {
	t.Parallel()
	p := poison(t)
	p.MustSend(p.poison, harness.Request("GET", "/killpoints/panic"))
	p.MustEnd(p.poison, 5*time.Second, "the client whose request crashes workers")
	p.AwaitText("1 closed whose request may have killed it")
	if n := p.deaths(); n != 2 {
		t.Errorf("%d deaths, want 2", n)
	}
	p.MustComplete(p.download)
	p.MustAsk(p.idle, harness.Request("GET", "/"))
	p.Stop(5 * time.Second)
}

// TestCrashWithDamagedMemory crashes a worker with a signal after which its memory may be damaged: only
// idle connections survive.
func TestCrashWithDamagedMemory(t *testing.T) {
	t.Parallel()
	p := poison(t)
	p.MustSend(p.poison, harness.Request("GET", "/killpoints/segv"))
	p.MustEnd(p.poison, 5*time.Second, "the client whose request damages memory")
	p.AwaitText("rescued 1 connection ")
	p.AwaitText("2 closed whose request may have killed it")
	if err := p.download.Rest(); err == nil {
		t.Error("the download continued after SIGSEGV")
	}
	if n := p.deaths(); n != 1 {
		t.Errorf("%d deaths, want 1", n)
	}
	p.MustAsk(p.idle, harness.Request("GET", "/"))
	p.Stop(5 * time.Second)
}
