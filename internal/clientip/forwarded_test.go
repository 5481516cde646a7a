package clientip

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// lines splits the value of a field at "|" into field lines.
func lines(text string) [][]byte {
	var all [][]byte
	for line := range strings.SplitSeq(text, "|") {
		all = append(all, []byte(line))
	}
	return all
}

const evil, alice, proxy = "6.6.6.6", "203.0.113.7", "10.0.0.1"

// forwarded lists requests of a peer with lines of a field, and their clients.
var forwarded = []struct{ field, peer, lines, want, scheme string }{
	{"x-forwarded-for", proxy, alice, alice, ""},
	{"x-forwarded-for", "unix", alice, alice, ""},
	{"x-forwarded-for", evil, alice, evil, ""},
	{"x-forwarded-for", proxy, "", proxy, ""},
	{"x-forwarded-for", proxy, evil + ", " + alice, alice, ""},
	{"x-forwarded-for", proxy, evil + "|" + alice, alice, ""},
	{"x-forwarded-for", proxy, evil + "," + alice + " , 10.0.0.2\t,10.0.0.3", alice, ""},
	{"x-forwarded-for", proxy, evil + "|" + alice + "|10.0.0.2|10.0.0.3", alice, ""},
	{"x-forwarded-for", proxy, alice + "|,, ,|,", alice, ""},
	{"x-forwarded-for", proxy, "10.9.9.9, 10.0.0.2", "10.9.9.9", ""},
	{"x-forwarded-for", proxy, "10.0.0.9, " + evil + ", " + alice + ", 10.0.0.2", alice, ""},
	{"x-forwarded-for", proxy, evil + ", unknown, 10.0.0.2", "10.0.0.2", ""},
	{"x-forwarded-for", proxy, evil + ", _hidden", proxy, ""},
	{"x-forwarded-for", proxy, evil + ", 203.0.113.07", proxy, ""},
	{"x-forwarded-for", proxy, evil + ", 1.2.3", proxy, ""},
	{"x-forwarded-for", proxy, evil + ", example.org, 10.0.0.2", "10.0.0.2", ""},
	{"x-forwarded-for", proxy, evil + ", \"" + alice + "\"", proxy, ""},
	{"x-forwarded-for", proxy, evil + " " + alice, proxy, ""},
	{"x-forwarded-for", proxy, alice + ":4711", alice + ":4711", ""},
	{"x-forwarded-for", proxy, alice + ":99999", proxy, ""},
	{"x-forwarded-for", proxy, "2001:db9::1", "2001:db9::1", ""},
	{"x-forwarded-for", proxy, "[2001:db9::1]", "2001:db9::1", ""},
	{"x-forwarded-for", proxy, "[2001:db9::1]:80, 2001:db8::7", "[2001:db9::1]:80", ""},
	{"x-forwarded-for", proxy, "[203.0.113.7]", proxy, ""},
	{"x-forwarded-for", proxy, "2001:db9::1%eth0", proxy, ""},
	{"x-forwarded-for", proxy, "::ffff:203.0.113.7", alice, ""},
	{"x-forwarded-for", proxy, evil + ", ::ffff:10.0.0.2", evil, ""},
	{"x-forwarded-for", proxy, strings.Repeat("1", 200), proxy, ""},
	{"x-real-ip", proxy, alice, alice, ""},

	{"forwarded", proxy, "for=" + alice, alice, ""},
	{"forwarded", proxy, "For=" + alice + ";Proto=https;by=10.0.0.1", alice, "https"},
	{"forwarded", proxy, "for=" + evil + ";proto=https, proto=http;for=" + alice, alice, "http"},
	{"forwarded", proxy, "for=" + evil + "|for=" + alice + ";proto=https|for=10.0.0.2;proto=http", alice, "https"},
	{"forwarded", proxy, `for="[2001:db9::1]:4711";host="a.example, b"`, "[2001:db9::1]:4711", ""},
	{"forwarded", proxy, `for="[2001:db9::1]"`, "2001:db9::1", ""},
	{"forwarded", proxy, `for="203.0.113.7:4711"`, alice + ":4711", ""},
	{"forwarded", proxy, `for=203.0.113.7:4711`, proxy, ""},
	{"forwarded", proxy, `for="\2\03.0.113.7"`, alice, ""},
	{"forwarded", proxy, `for=[2001:db9::1]`, proxy, ""},
	{"forwarded", proxy, "for=" + evil + ", for=unknown", proxy, ""},
	{"forwarded", proxy, "for=" + evil + ", for=_gazonk, for=10.0.0.2", "10.0.0.2", ""},
	{"forwarded", proxy, "for=" + evil + ", proto=https", proxy, ""},
	{"forwarded", proxy, "for=" + evil + ";for=" + alice, proxy, ""},
	{"forwarded", proxy, "for=" + evil + ", for=" + alice + ";", alice, ""},
	{"forwarded", proxy, ";;proto=https;;for=" + alice + ";;", alice, "https"},
	{"forwarded", proxy, "for=" + evil + ", ;", proxy, ""},
	{"forwarded", proxy, "for=" + alice + "; proto=https", proxy, ""},
	{"forwarded", proxy, "for = " + alice, proxy, ""},
	{"forwarded", proxy, "for", proxy, ""},
	{"forwarded", proxy, alice, proxy, ""},
	{"forwarded", proxy, `for="` + alice, proxy, ""},
	{"forwarded", proxy, `for="` + alice + `\`, proxy, ""},
	// A client can neither make what its proxy appends a part of its own quoted string, nor
	// add an element to what its proxy quotes.
	{"forwarded", proxy, `for="` + evil + `, for=` + alice, alice, ""},
	{"forwarded", proxy, `for=` + evil + `;x=", for="[2001:db9::1]"`, "2001:db9::1", ""},
	{"forwarded", proxy, `for=` + alice + `;host="a, for=` + evil + `"`, alice, ""},
	{"forwarded", proxy, `for=` + alice + `;host="a, for=` + evil + `;x=\"\""`, alice, ""},
	{"forwarded", proxy, `for=` + alice + `;host="a, for=` + evil + `;x=";y="z"`, alice, ""},
	{"forwarded", proxy, `for=` + alice + `;host="` + evil + `,,,"`, alice, ""},
	{"forwarded", proxy, `for=` + alice + `;host="a, for=` + evil + `;"`, alice, ""},
	{"forwarded", proxy, `for=` + alice + `;host="a, for=` + evil + `;;x=";`, alice, ""},
}

// The trusted proxies are 10.0.0.0/8, 2001:db8::/32 and clients of a unix socket.
func TestClient(t *testing.T) {
	for _, tt := range forwarded {
		trust := &Trust{NewNetworks(networks(t, "10.0.0.0/8 2001:db8::/32 unix")), tt.field}
		client, scheme := trust.Client(From(addrPort(tt.peer)), lines(tt.lines))
		if tt.peer == "unix" {
			client, scheme = trust.Client(Unix(), lines(tt.lines))
		}
		if client.String() != tt.want || [...]string{"", "http", "https"}[scheme] != tt.scheme {
			t.Errorf("%s from %s: %s\n is from %v, %q, want %s, %q", tt.field, tt.peer, tt.lines, client, scheme, tt.want, tt.scheme)
		}
	}
}

// addrPort parses an address without a port.
func addrPort(text string) netip.AddrPort {
	ip, _ := netip.ParseAddr(text)
	return netip.AddrPortFrom(ip, 0)
}

// Whatever a client sends in the field, only what its proxy appends counts, and it is found
// at little cost.
func FuzzClient(f *testing.F) {
	for _, tt := range []string{"", "6.6.6.6, ", `for="`, `for=6.6.6.6;x="\`, `,,,`, `"`, `for=6.6.6.6, `, `a=b;` + strings.Repeat(",", 100) + `"`} {
		f.Add([]byte(tt))
	}
	networks := NewNetworks(networks(f, "10.0.0.0/8"))
	f.Fuzz(func(t *testing.T, own []byte) {
		peer := addr("10.0.0.1")
		for field, added := range map[string]string{"x-forwarded-for": "203.0.113.7", "forwarded": "for=203.0.113.7;proto=https"} {
			trust := &Trust{networks, field}
			for _, sent := range [][][]byte{{own, []byte(added)}, {append(append([]byte{}, own...), ", "+added...)}} {
				if client, _ := trust.Client(peer, sent); client.Host() != "203.0.113.7" {
					t.Fatalf("%s: %q: %v", field, sent, client)
				}
			}
			if client, _ := trust.Client(peer, [][]byte{own}); !client.Known() {
				t.Fatalf("%s: %q has no client", field, own)
			}
		}
	})
}

// The longest possible head costs little, whatever is in it.
func TestClientCostsLittle(t *testing.T) {
	trust := &Trust{NewNetworks(networks(t, "10.0.0.0/8")), FieldForwarded}
	const size = 16 << 10
	for _, piece := range []string{",", `,"`, `for="`, `for=",`, `a=b;`, `a="b",`, `\"`, "for=10.0.0.1,"} {
		line := []byte(strings.Repeat(piece, size/len(piece)) + `"`)
		took := time.Hour
		for range 3 { // a machine may stand still once
			began := time.Now()
			trust.Client(addr("10.0.0.1"), [][]byte{line})
			took = min(took, time.Since(began))
		}
		if took > time.Second {
			t.Errorf("%q: %v", piece, took)
		}
	}
}

// Nothing is allocated for the fields that proxies write.
func TestClientAllocatesNothing(t *testing.T) {
	for _, tt := range []struct{ field, line string }{
		{"x-forwarded-for", "6.6.6.6, 203.0.113.7:80, 2001:db8::7, 10.0.0.2"},
		{FieldForwarded, `for=6.6.6.6, for="[2001:db9::1]:80";proto=https;host="a, b", for=10.0.0.2`},
	} {
		trust := &Trust{NewNetworks(networks(t, "10.0.0.0/8 2001:db8::/32")), tt.field}
		peer, sent := addr("10.0.0.1"), [][]byte{[]byte(tt.line)}
		if n := testing.AllocsPerRun(100, func() { trust.Client(peer, sent) }); n > 0 {
			t.Errorf("%s: %v allocations", tt.line, n)
		}
	}
}
