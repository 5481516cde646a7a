package snapshot

import (
	"reflect"
	"testing"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/status"
	"phalanx/internal/tlsconn"
)

// Counters of TLS have the names of their reasons, and are listed once one is not zero.
func TestHandshakes(t *testing.T) {
	var row scoreboard.Row
	totals := row.Read()
	if got := figuresOf(&totals, open{}).TLS; got != nil {
		t.Errorf("without any: %+v", got)
	}
	row.Unsecured[tlsconn.ReasonPlainHTTP].Add(2)
	row.Handshakes[1].Add(5)
	row.Resumed.Add(3)
	once := row.Read()
	totals.Add(&once)
	totals.Add(&once)
	want := &status.TLS{Handshakes: map[string]uint64{"1.2": 0, "1.3": 10}, Resumed: 6, Failed: map[string]uint64{"plain_http": 4}}
	if got := figuresOf(&totals, open{}).TLS; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
