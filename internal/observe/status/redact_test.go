package status

import (
	"reflect"
	"strconv"
	"testing"
)

func TestRedacted(t *testing.T) {
	p := Pool{Workers: []Worker{{PID: 1, Oldest: &Request{Line: "GET /a?secret=1", Age: 2}}, {PID: 2}}}
	want := Pool{Workers: []Worker{{PID: 1, Oldest: &Request{Line: "GET /a?…", Age: 2}}, {PID: 2}}}
	if got := p.Redacted(); !reflect.DeepEqual(got, want) || p.Workers[0].Oldest.Line != "GET /a?secret=1" {
		t.Errorf("%+v", got)
	}
	c := Connections{PID: 3, Connections: []Connection{{Client: "192.0.2.1:5", Line: "GET /b?x?y", Sent: 7}, {Client: "192.0.2.2:6", Line: "GET /c"}}}
	list := Connections{PID: 3, Connections: []Connection{{Client: "11", Line: "GET /b?…", Sent: 7}, {Client: "11", Line: "GET /c"}}}
	name := func(client string) string { return strconv.Itoa(len(client)) }
	if got := c.Redacted(name); !reflect.DeepEqual(got, list) || c.Connections[0].Client == "" {
		t.Errorf("%+v", got)
	}
}
