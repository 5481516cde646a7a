package proto

import (
	"strings"
	"testing"
)

func TestAcceptCodings(t *testing.T) {
	tests := []struct{ name, fields, want string }{
		{"12.5.3 absent", "X: y", ""},
		{"12.5.3 empty", "Accept-Encoding:", ""},
		{"12.5.3 one", "Accept-Encoding: gzip", "gzip"},
		{"12.5.3 equal weights by size", "Accept-Encoding: gzip, deflate, br, zstd", "br zstd gzip"},
		{"12.5.3 weights", "Accept-Encoding: br;q=0.1, gzip;q=0.9, zstd;q=0.5", "gzip zstd br"},
		{"12.5.3 weights against the order", "Accept-Encoding: br;q=0.5, zstd;q=1.0", "zstd br"},
		{"12.5.3 not wanted", "Accept-Encoding: gzip;q=0, br;q=0.000, zstd", "zstd"},
		{"12.5.3 star", "Accept-Encoding: *", "br zstd gzip"},
		{"12.5.3 star with a weight", "Accept-Encoding: *;q=0.5, gzip", "gzip br zstd"},
		{"12.5.3 star refuses the rest", "Accept-Encoding: gzip, *;q=0", "gzip"},
		{"12.5.3 star does not count for what is named", "Accept-Encoding: *, br;q=0", "zstd gzip"},
		{"12.5.3 identity alone", "Accept-Encoding: identity", ""},
		{"12.5.3 identity preferred", "Accept-Encoding: identity, gzip;q=0.5", ""},
		{"12.5.3 identity as good", "Accept-Encoding: identity;q=0.5, gzip;q=0.5", "gzip"},
		{"12.5.3 identity worse", "Accept-Encoding: identity;q=0.5, gzip;q=0.6, br;q=0.4", "gzip"},
		{"12.5.3 identity refused", "Accept-Encoding: identity;q=0, gzip;q=0.001", "gzip"},
		{"8.4.1 case does not count", "Accept-Encoding: GZip, BR", "br gzip"},
		{"8.4.1.3 x-gzip", "Accept-Encoding: x-gzip", "gzip"},
		{"8.4.1 unknown", "Accept-Encoding: compress, foo, gzipx, b", ""},
		{"5.3 on two lines", "Accept-Encoding: gzip|X: y|Accept-Encoding: br;q=0.5", "gzip br"},
		{"5.6.1 empty elements", "Accept-Encoding: ,, gzip ,", "gzip"},
		{"12.4.2 white space", "Accept-Encoding: gzip ;\tq=0.5 , br", "br gzip"},
		{"12.4.2 capital Q", "Accept-Encoding: gzip;Q=0", ""},
		{"12.4.2 one and zeros", "Accept-Encoding: gzip;q=1.000, br;q=1.", "br gzip"},
		{"12.4.2 too many digits", "Accept-Encoding: gzip;q=0.1234", ""},
		{"12.4.2 no number", "Accept-Encoding: gzip;q=x, br;q=, zstd;q=.5", ""},
		{"12.4.2 negative", "Accept-Encoding: gzip;q=-1", ""},
		{"12.4.2 more than one", "Accept-Encoding: gzip;q=2, br;q=10", ""},
		{"12.4.2 other parameters", "Accept-Encoding: gzip;a=b;q=0, br;q=0.5;a=b", "br"},
	}
	for _, tt := range tests {
		t.Run("9110-"+tt.name, func(t *testing.T) {
			r, head := parsed(t, strings.Split(tt.fields, "|")...)
			codings := AcceptCodings(r, head)
			var got []string
			for _, c := range codings.List() {
				got = append(got, c.Token())
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s: %v, want %s", tt.fields, got, tt.want)
			}
		})
	}
}

func TestAccepts(t *testing.T) {
	tests := []struct {
		name, field string
		want        int
	}{
		{"absent", "X: y", 1000},
		{"empty", "Accept:", 0},
		{"the type", "Accept: application/json", 1000},
		{"another type", "Accept: text/html", 0},
		{"star", "Accept: */*", 1000},
		{"kind", "Accept: application/*;q=0.3", 300},
		{"another kind", "Accept: text/*", 0},
		{"the most specific counts", "Accept: */*;q=0.1, application/json;q=0.9, application/*;q=0.5", 900},
		{"refused though all are accepted", "Accept: */*, application/json;q=0", 0},
		{"a browser", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 800},
		{"case does not count", "Accept: Application/JSON", 1000},
		{"no slash", "Accept: json, *", 0},
		{"star and a subtype", "Accept: */json", 0},
	}
	for _, tt := range tests {
		t.Run("9110-12.5.1 "+tt.name, func(t *testing.T) {
			r, head := parsed(t, tt.field)
			if got := Accepts(r, head, "application", "json"); got != tt.want {
				t.Errorf("%s: %d, want %d", tt.field, got, tt.want)
			}
		})
	}
}

func TestCodingNames(t *testing.T) {
	want := map[Coding][2]string{Identity: {"", ""}, Gzip: {"gzip", ".gz"}, Zstd: {"zstd", ".zst"}, Brotli: {"br", ".br"}}
	for c, names := range want {
		if got := [2]string{c.Token(), c.Suffix()}; got != names {
			t.Errorf("coding %d: %q, want %q", c, got, names)
		}
	}
}

func TestStatusLine(t *testing.T) {
	tests := []struct {
		status Status
		want   string
	}{
		{200, "HTTP/1.1 200 OK\r\n"},
		{206, "HTTP/1.1 206 Partial Content\r\n"},
		{431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		{299, "HTTP/1.1 299 \r\n"}, // 9112-4: the space stays
		{599, "HTTP/1.1 599 \r\n"},
	}
	for _, tt := range tests {
		if got := AppendStatusLine(nil, tt.status); string(got) != tt.want {
			t.Errorf("9112-4: %q, want %q", got, tt.want)
		}
	}
}

func TestLookupField(t *testing.T) {
	names := map[Field]string{
		FieldHost: "Host", FieldConnection: "Connection", FieldContentLength: "Content-Length",
		FieldTransferEncoding: "Transfer-Encoding", FieldExpect: "Expect", FieldRange: "Range", FieldIfRange: "If-Range",
		FieldIfMatch: "If-Match", FieldIfNoneMatch: "If-None-Match", FieldIfModifiedSince: "If-Modified-Since",
		FieldIfUnmodifiedSince: "If-Unmodified-Since", FieldAccept: "Accept", FieldAcceptEncoding: "Accept-Encoding",
		FieldOrigin: "Origin", FieldReferer: "Referer", FieldUserAgent: "User-Agent", FieldRequestID: "X-Request-Id", FieldAuthorization: "Authorization", fieldWantReprDigest: "Want-Repr-Digest",
		FieldSecFetchMode: "Sec-Fetch-Mode", FieldSecFetchDest: "Sec-Fetch-Dest",
	}
	if len(names) != int(fieldOther) {
		t.Errorf("%d names of %d fields", len(names), fieldOther)
	}
	for f, name := range names {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := lookupField([]byte(spelling)); got != f {
				t.Errorf("9110-5.1: %s is field %d, want %d", spelling, got, f)
			}
		}
		for i := range name {
			if other := name[:i] + "~" + name[i+1:]; lookupField([]byte(other)) != fieldOther {
				t.Errorf("9110-5.1: %s is known", other)
			}
		}
	}
}
