package status

import (
	"bytes"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// The master reads what a worker writes, except for what is too long.
func TestList(t *testing.T) {
	long := strings.Repeat("\x80", 3*MaxLine) // six bytes each, in JSON
	want := Connections{Total: 7, Connections: []Connection{
		{Client: "192.0.2.1:80", State: ConnSending, Line: "GET /a\xff\n", Sent: 5, Size: 10, Age: 1.5},
		{Client: "[2001:db8::1]:80", State: ConnReceiving, Line: "GET /" + long},
		{Client: "unknown", State: ConnIdle},
	}}
	var file bytes.Buffer
	if err := want.WriteList(&file); err != nil {
		t.Fatal(err)
	}
	got, err := ReadList(&file)
	if err != nil {
		t.Fatal(err)
	}
	want.Connections[0].Line = "GET /a\ufffd\n"
	want.Connections[1].Line = "GET /" + strings.Repeat("\ufffd", MaxLine-5)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// The master can read the list, however many connections there are and however long their
// lines.
func TestListFull(t *testing.T) {
	for _, line := range []string{"GET /", "GET /" + strings.Repeat("x", MaxLine), strings.Repeat("\x80", MaxLine)} {
		all := Connections{Total: 30_000, Connections: make([]Connection, 30_000)}
		for i := range all.Connections {
			all.Connections[i] = Connection{Client: "192.0.2.1:80", State: ConnSending, Line: line}
		}
		var file bytes.Buffer
		if err := all.WriteList(&file); err != nil {
			t.Fatal(err)
		}
		got, err := ReadList(&file)
		if n := len(got.Connections); err != nil || got.Total != 30_000 || n > MaxConnections || n < 1000 {
			t.Errorf("%.10q: %d of %d, %v", line, n, got.Total, err)
		}
	}
}

// repeated is a file that repeats a text without end.
type repeated string

func (r repeated) Read(p []byte) (n int, err error) {
	for len(p) >= len(r) {
		k := copy(p, r)
		n, p = n+k, p[k:]
	}
	if n == 0 {
		n = copy(p, r)
	}
	return n, nil
}

// A hostile worker's list costs the master a bounded amount of memory, and is refused.
func TestHostileList(t *testing.T) {
	const head = `{"total":1}` + "\n"
	for name, file := range map[string]io.Reader{
		"nothing":             strings.NewReader(""),
		"no line":             strings.NewReader(`{"total":1}`),
		"empty connections":   io.MultiReader(strings.NewReader(head), repeated("{}\n")),
		"too many":            io.MultiReader(strings.NewReader(head), repeated(`{"state":"idle"}`+"\n")),
		"one array":           io.MultiReader(strings.NewReader(`{"connections":[`), repeated("{},")),
		"a long string":       io.MultiReader(strings.NewReader(head+`{"client":"`), repeated("x")),
		"a deep value":        io.MultiReader(strings.NewReader(head), repeated("[")),
		"an unknown state":    strings.NewReader(head + `{"state":"\u001b[2J"}` + "\n"),
		"a number as a state": strings.NewReader(head + `{"state":1}` + "\n"),
		"a large number":      strings.NewReader(head + `{"state":"idle","sent":1e99}` + "\n"),
		"cut":                 strings.NewReader(head + `{"state":"idle"}` + "\n" + `{"state":"id`),
		"zeros":               repeated("\x00"),
		"lines without text":  repeated("\n"),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c, err := ReadList(file)
			runtime.ReadMemStats(&after)
			if err == nil || len(c.Connections) != 0 {
				t.Errorf("%d connections, %v", len(c.Connections), err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("%d bytes allocated", used)
			}
		})
	}
	c, err := ReadList(strings.NewReader(`{"total":-5}` + "\n" + `{"state":"sending","sent":9,"size":-3,"age":-1}` + "\n" +
		`{"state":"sending","sent":9,"size":3,"age":1e300}` + "\n"))
	if err != nil || c.Total != 2 || c.Connections[0].Size != 0 || c.Connections[0].Age != 0 || c.Connections[1].Sent != 3 || c.Connections[1].Age > 1e10 {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzReadList(f *testing.F) {
	f.Add([]byte(`{"total":1}` + "\n" + `{"client":"a","state":"idle","line":"GET /","sent":1,"size":2,"age":3}` + "\n"))
	f.Add([]byte(`{"total":-1}` + "\n" + `{"state":"sending","size":-9223372036854775808}` + "\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := ReadList(bytes.NewReader(file))
		if err != nil {
			if len(c.Connections) != 0 {
				t.Fatal("a refused list has connections")
			}
			return
		}
		if c.Total < len(c.Connections) {
			t.Fatalf("%d of %d", len(c.Connections), c.Total)
		}
		for _, one := range c.Connections {
			if one.Sent < 0 || one.Size < 0 || one.Size > 0 && one.Sent > one.Size || !(one.Age >= 0 && one.Age < 1e10) || len(one.Line) > maxRecord {
				t.Fatalf("%+v", one)
			}
		}
	})
}
