package top

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"phalanx/internal/observe/status"
)

func TestSnapshot(t *testing.T) {
	hostile := aPool(3)
	hostile.Base = "/srv/\x1b[2J\u202e日本語"
	for name, c := range map[string]struct {
		pool  status.Pool
		width int
	}{
		"four-80":    {aPool(4), 80},
		"four-120":   {aPool(4), 120},
		"four-40":    {aPool(4), 40},
		"hostile-80": {hostile, 80},
		"none-80":    {status.Pool{State: status.Starting, Slots: 2, Time: noon, Started: noon}, 80},
	} {
		t.Run(name, func(t *testing.T) {
			got := Snapshot(c.pool, c.width)
			want, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
			if err != nil {
				t.Error(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for line := range strings.Lines(got) {
				line = strings.TrimSuffix(line, "\n")
				if textWidth(line) > c.width || strings.ContainsRune(line, 0x1b) {
					t.Errorf("%q", line)
				}
			}
		})
	}
}

// Without a limit on the width, only the last column of the table is truncated.
func TestSnapshotUnlimited(t *testing.T) {
	p := aPool(4)
	p.Base = "/" + strings.Repeat("long/", 100)
	s := Snapshot(p, 0)
	for _, want := range []string{p.Base, "OLDEST REQUEST", "GEN/D", `6m12s GET /big\u202e\x1b[2J.iso`} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing in\n%s", want, s)
		}
	}
}

// With slots of three digits and pids of seven, the important columns fit into eighty cells.
func TestSnapshotOfManyFitsEightyCells(t *testing.T) {
	for line := range strings.Lines(Snapshot(aPool(130), 80)) {
		if w := textWidth(strings.TrimSuffix(line, "\n")); w > 80 {
			t.Errorf("%d cells: %q", w, line)
		}
	}
	head := Snapshot(aPool(12), 80)
	for _, name := range []string{"#", "PID", "STATE", "UP", "CONN/IDLE", "REQ/S", "MB/S", "P50", "P99", "QUEUE", "CPU%", "MEM", "GEN/D"} {
		if !strings.Contains(head, name) {
			t.Errorf("no column %s in\n%s", name, head)
		}
	}
}

func TestJSON(t *testing.T) {
	p := aPool(3)
	p.PerSlot = nil
	var b bytes.Buffer
	if err := JSON(&b, p); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e\u009b") {
		t.Errorf("terminal control characters in %q", b.String())
	}
	var back status.Pool
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("%v\n%+v\n%+v", err, back, p)
	}
}
