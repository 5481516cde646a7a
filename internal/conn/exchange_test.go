package conn

import (
	"reflect"
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// An exchange has the decision about its request, with the reasons, before the first byte
// of the response is written.
func TestDecided(t *testing.T) {
	var codings proto.Codings
	parsedCodings := func(accept string) proto.Codings {
		var p proto.Parser
		head := []byte(get("/", "Accept-Encoding: "+accept))
		if p.Parse(head) != proto.Complete {
			t.Fatal(p.Fault())
		}
		return proto.AcceptCodings(p.Request(), head)
	}
	single := func(c *Config) { c.Single = true }
	tests := []struct {
		name, raw string
		change    func(*Config)
		want      Exchange
	}{
		{"a file", get("/a"), nil, Exchange{Status: 200, Source: SourceFile}},
		{"codings", get("/a", "Accept-Encoding: br, gzip"), nil, Exchange{Status: 200, Source: SourceFile, Codings: parsedCodings("br, gzip")}},
		{"one range", get("/a", "Range: bytes=2-4"), nil, Exchange{Status: 206, Source: SourceFile, Ranges: []proto.Range{{Off: 2, Len: 3}}}},
		{"a range of HEAD", request("HEAD", "/a", "Range: bytes=2-4"), nil, Exchange{Status: 200, Source: SourceFile, RangeField: proto.RangeNotGet}},
		{"If-Range", get("/a", "Range: bytes=2-4", `If-Range: "x"`), nil, Exchange{Status: 200, Source: SourceFile, RangeField: proto.IfRangeOtherTag}},
		{"a unit", get("/a", "Range: lines=2-4"), nil, Exchange{Status: 200, Source: SourceFile, RangeField: proto.RangeUnit}},
		{"outside", get("/a", "Range: bytes=20-"), nil, Exchange{Status: 416, Source: SourcePage}},
		{"current", get("/a", "If-None-Match: *"), nil, Exchange{Status: 304, Source: SourceFile, Conditions: proto.Conditions{IfNoneMatch: proto.OutcomeFalse}}},
		{"a precondition", get("/a", `If-Match: "x"`), nil, Exchange{Status: 412, Source: SourcePage, Conditions: proto.Conditions{IfMatch: proto.OutcomeFalse}}},
		{"nothing", get("/none"), nil, Exchange{Status: 404, Source: SourcePage}},
		{"a directory", get("/dir"), nil, Exchange{Status: 301, Source: SourcePage}},
		{"OPTIONS", request("OPTIONS", "*"), nil, Exchange{Status: 204}},
		{"the client closes", get("/a", "Connection: close"), nil, Exchange{Status: 200, Source: SourceFile, Closing: ClosingClient}},
		{"the serial model", get("/a"), single, Exchange{Status: 200, Source: SourceFile, Closing: ClosingSingle}},
		{"content that is not read", request("POST", "/", "Content-Length: 3"), single, Exchange{Status: 405, Source: SourcePage, Closing: ClosingUnread}},
		{"too long", get("/", "Content-Length: 99999999"), nil, Exchange{Status: 413, Source: SourcePage, Closing: ClosingFault, Fault: TooLong}},
	}
	for _, tt := range tests {
		cfg, o := newConfig(), &observer{}
		if tt.change != nil {
			tt.change(cfg)
		}
		d := newDriver(t, cfg, o)
		d.receive(tt.raw)
		if len(o.decided) != 1 {
			t.Fatalf("%s: decided %d times", tt.name, len(o.decided))
		}
		got := o.decided[0]
		if tt.want.Codings == codings {
			got.Codings = codings
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

// An exchange that is reused has nothing left from the previous one.
func TestExchangeIsFresh(t *testing.T) {
	cfg, o := newConfig(), &observer{}
	cfg.ID = func(dst []byte) []byte { return append(dst, "made"...) }
	d := newDriver(t, cfg, o)
	d.receive(get("/a"))
	want, n := o.decided[0], 1
	for _, raw := range []string{
		get("/big", "Range: bytes=1-2,4-5", "Accept-Encoding: br", "X-Request-Id: mine"), get("/a", "If-None-Match: *"), get("/a", "Range: x", `If-Match: *`),
		get("/a", "Content-Length: 3") + "abc", get("/" + strings.Repeat("x", 4000)), "BAD\r\n\r\n", get("/a", "Connection: close"),
	} {
		if !d.receive(raw) {
			d = newDriver(t, cfg, o)
		}
		d.receive(get("/a"))
		n += 2
		if got := o.decided[len(o.decided)-1]; len(o.decided) != n || !reflect.DeepEqual(got, want) {
			t.Errorf("after %.40q: %+v\nwant %+v", raw, got, want)
		}
		if last := o.records[len(o.records)-1]; last.reason != "" || last.bytes != 10 || o.ids[len(o.ids)-1] != "made" {
			t.Errorf("after %.40q: %+v", raw, last)
		}
	}
	if len(cfg.spare) != 1 {
		t.Errorf("%d exchanges were allocated for two connections, one after the other, want 1", len(cfg.spare))
	}
}

// A connection that shares its configuration with no other keeps the memory of a few exchanges.
func TestSpareExchanges(t *testing.T) {
	for alone, want := range map[bool]int{false: 100, true: 8} {
		cfg := newConfig()
		cfg.Alone = alone
		replies := make([]Reply, 100) // at the same time, as HTTP/2 has them
		for i := range replies {
			replies[i] = NewReply(cfg, nil)
			replies[i].OpenRefused(new(proto.Request), HTTP2, 0)
		}
		for i := range replies {
			replies[i].Leave()
		}
		if n := len(cfg.spare); n != want {
			t.Errorf("alone %v: %d exchanges are kept, want %d", alone, n, want)
		}
	}
}
