package record

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func head(commit string) Head {
	return Head{
		Commit: commit, Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Settings: Settings{Kind: Models, Seconds: 1, Cells: []Cell{{Siege, "process", 1, 1}, {Siege, "process", 8, 1}}},
	}
}

// measure starts or resumes a run and measures the given number of cells.
func measure(t *testing.T, raw string, h Head, cells int) (resumed bool) {
	t.Helper()
	s, resumed, err := Open(raw, h)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range s.Run.Left()[:cells] {
		if err := s.Append(Result{Cell: c, Values: map[Metric]float64{PerSecond: float64(c.Level)}}, []byte("words")); err != nil {
			t.Fatal(err)
		}
	}
	return resumed
}

func TestResume(t *testing.T) {
	raw := t.TempDir()
	if measure(t, raw, head("a"), 1) {
		t.Error("resumed a run that does not exist")
	}
	cells := filepath.Join(raw, "models-20260102-030405", cellsName)
	text, err := os.ReadFile(cells)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cells, append(text, `{"experiment":"si`...), 0o644); err != nil { // a crash
		t.Fatal(err)
	}
	later := head("a")
	later.Date = later.Date.Add(time.Hour)
	if !measure(t, raw, later, 1) {
		t.Error("started a new run although a cell was left")
	}
	run, ok, err := Newest(raw, Models)
	if err != nil || !ok || len(run.Results) != 2 || len(run.Left()) != 0 {
		t.Fatalf("the run has %d results, %d cells left, %v", len(run.Results), len(run.Left()), err)
	}
	if got := run.Of(Siege, "process", 8); len(got) != 1 || got[0].Values[PerSecond] != 8 {
		t.Errorf("got %v", got)
	}
	if measure(t, raw, later, 2) {
		t.Error("resumed a run that was complete")
	}
}

func TestOtherCommitBeginsAnew(t *testing.T) {
	raw := t.TempDir()
	measure(t, raw, head("a"), 1)
	other := head("b")
	other.Date = other.Date.Add(time.Second)
	if measure(t, raw, other, 1) {
		t.Error("resumed the run of another commit")
	}
	if _, ok, err := Newest(raw, Peers); ok || err != nil {
		t.Errorf("found a run of another kind: %v", err)
	}
}
