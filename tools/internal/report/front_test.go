package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/tools/internal/record"
	"phalanx/tools/internal/report"
)

// README.md has the chart and the sentence of the newest comparison.
func TestFrontPage(t *testing.T) {
	const root = "../../../"
	run, ok, err := record.Newest(filepath.Join(root, "results", "raw"), record.Peers)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Fatal("no comparison found; run make compare")
	}
	page, err := os.ReadFile(root + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	if again := report.WriteFront(page, "results/charts", run); string(again) != string(page) || report.Front(run) == "" {
		t.Error("README.md does not say what the data say: make report")
	}
}

func TestWriteFront(t *testing.T) {
	run, _, err := record.Newest("testdata/raw", record.Peers)
	if err != nil {
		t.Fatal(err)
	}
	page := "# P\n\n<!-- make compare writes from here -->\nold\n<!-- to here -->\nrest\n"
	got := string(report.WriteFront([]byte(page), "charts", run))
	sentence := report.Front(run)
	if !strings.HasPrefix(sentence, "A page of 8 kB on one of 64 connections kept open costs Phalanx ") || !strings.Contains(sentence, "nginx ") {
		t.Errorf("the sentence is %q", sentence)
	}
	if strings.Join(strings.Fields(got), " ") != "# P <!-- make compare writes from here --> ![CPU time per request, Phalanx and others](charts/peers-cpu.svg) "+
		sentence+" <!-- to here --> rest" {
		t.Errorf("the page is\n%s", got)
	}
	if plain := report.WriteFront([]byte("# P\n"), "charts", run); string(plain) != "# P\n" {
		t.Errorf("a page without marks became %q", plain)
	}
	for line := range strings.Lines(got) {
		if len([]rune(line)) > 80 && !strings.HasPrefix(line, "!") {
			t.Errorf("a long line: %q", line)
		}
	}
}
