package snapshot

import (
	"reflect"
	"testing"

	"phalanx/internal/h2"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/status"
)

// Requests are counted by version. There are figures of HTTP/2 once it has been used.
func TestVersions(t *testing.T) {
	var row scoreboard.Row
	row.Versions[1].Add(3)
	totals := row.Read()
	if got := counters(&totals); got.HTTP2 != nil || got.Versions["1.1"] != 3 {
		t.Errorf("without HTTP/2: %+v", got)
	}
	row.Versions[2].Add(5)
	row.Misused[h2.ReasonResets].Add(2)
	once := row.Read()
	totals.Add(&once)
	got := counters(&totals)
	if want := map[string]uint64{"1.0": 0, "1.1": 6, "2": 5}; !reflect.DeepEqual(got.Versions, want) {
		t.Errorf("%v, want %v", got.Versions, want)
	}
	if want := (&status.HTTP2{Ended: map[string]uint64{"resets": 2}}); !reflect.DeepEqual(got.HTTP2, want) {
		t.Errorf("%+v, want %+v", got.HTTP2, want)
	}
}

// Open connections and streams are added up. Figures without HTTP/2 contribute nothing.
func TestOpen(t *testing.T) {
	a := status.Figures{Active: 3, Idle: 2, HTTP2: &status.HTTP2{Streams: 7}}
	b := status.Figures{Active: 1, Idle: 1}
	sum := open{}.plus(&a).plus(&b)
	if want := (open{4, 3, 7}); sum != want {
		t.Errorf("%v, want %v", sum, want)
	}
	sum.store(&b)
	if sum.store(&a); b.Active != 4 || b.Idle != 3 || b.HTTP2 != nil || a.HTTP2.Streams != 7 {
		t.Errorf("%+v, %+v", a, b)
	}
}
