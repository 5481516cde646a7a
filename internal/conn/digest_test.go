package conn

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// Preconditions, ranges and digests of files whose entity tag is made from the content.
func TestContentTag(t *testing.T) {
	sum := sha256.Sum256([]byte("0123456789"))
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	digest := "\r\nRepr-Digest: sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":\r\n"
	const want = "Want-Repr-Digest: sha-256=1"
	for _, tt := range []struct {
		name, raw string
		unknown   bool
		status    string
		digest    bool
	}{
		{"8.8.3", get("/a"), false, "200 OK", false},
		{"9530-4 wanted", get("/a", want), false, "200 OK", true},
		{"9530-4 another one wanted", get("/a", "Want-Repr-Digest: sha-512=1"), false, "200 OK", false},
		{"9530-3.1 HEAD", request("HEAD", "/a", want), false, "200 OK", true},
		{"9530-3 of the whole", get("/a", want, "Range: bytes=2-3"), false, "206 Partial Content", true},
		{"9530-3 of the whole, in parts", get("/a", want, "Range: bytes=0-0,5-6"), false, "206 Partial Content", true},
		{"13.1.2", get("/a", want, "If-None-Match: "+tag), false, "304 Not Modified", false},
		{"13.1.2 another one", get("/a", `If-None-Match: "x"`), false, "200 OK", false},
		{"13.1.5", get("/a", "Range: bytes=2-3", "If-Range: "+tag), false, "206 Partial Content", false},
		{"13.1.5 another one", get("/a", "Range: bytes=2-3", `If-Range: "x"`), false, "200 OK", false},
		{"13.1.1", get("/a", "If-Match: "+tag), false, "200 OK", false},
		{"13.1.1 another one", get("/a", `If-Match: "x"`), false, "412 Precondition Failed", false},
		{"not known", get("/a", want), true, "200 OK", false},
		{"13.1.2 not known", get("/a", "If-None-Match: "+tag), true, "200 OK", false},
		{"13.1.5 not known", get("/a", "Range: bytes=2-3", "If-Range: "+tag), true, "200 OK", false},
		{"13.1.3 not known", get("/a", "If-Modified-Since: "+dateFile), true, "304 Not Modified", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newConfig()
			f := cfg.Site.(*fakeSite).files["/a"]
			if f.tagged = true; !tt.unknown {
				f.sum = sum[:]
			}
			reply, _ := exchange(t, cfg, nil, tt.raw)
			tagged := !tt.unknown && !strings.HasPrefix(tt.status, "412")
			if !strings.HasPrefix(reply, "HTTP/1.1 "+tt.status) || strings.Contains(reply, "\r\nETag: "+tag+"\r\n") != tagged || strings.Contains(reply, "ETag: ") != tagged {
				t.Errorf("%s", reply)
			}
			if strings.Contains(reply, digest) != tt.digest || strings.Contains(reply, "Repr-Digest") != tt.digest {
				t.Errorf("digest in\n%s", reply)
			}
		})
	}
}

// A digest makes an entity tag once it is known. A file without a usable time has no
// Last-Modified.
func TestContentTagBecomesKnown(t *testing.T) {
	cfg := newConfig()
	f := cfg.Site.(*fakeSite).files["/built"]
	f.tagged = true
	for _, known := range []bool{false, false, true, true} {
		if known {
			sum := sha256.Sum256([]byte("one"))
			f.sum = sum[:]
		}
		reply, _ := exchange(t, cfg, nil, get("/built"))
		if strings.Contains(reply, "\r\nETag: \"") != known || strings.Contains(reply, "Last-Modified") {
			t.Errorf("known %v:\n%s", known, reply)
		}
	}
}
