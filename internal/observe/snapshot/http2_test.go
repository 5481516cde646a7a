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
	if got := figuresOf(&totals, open{4, 3, 7}); got.HTTP2 != nil || got.Active != 4 || got.Idle != 3 || got.Versions["1.1"] != 3 {
		t.Errorf("without HTTP/2: %+v", got)
	}
	row.Versions[2].Add(5)
	row.Misused[h2.ReasonResets].Add(2)
	once := row.Read()
	totals.Add(&once)
	got := figuresOf(&totals, open{4, 3, 7})
	if want := map[string]uint64{"1.0": 0, "1.1": 6, "2": 5}; !reflect.DeepEqual(got.Versions, want) {
		t.Errorf("%v, want %v", got.Versions, want)
	}
	if want := (&status.HTTP2{Streams: 7, Ended: map[string]uint64{"resets": 2}}); !reflect.DeepEqual(got.HTTP2, want) {
		t.Errorf("%+v, want %+v", got.HTTP2, want)
	}
}
