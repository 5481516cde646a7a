package proto

import (
	"crypto/sha256"
	"testing"
)

func TestWantsDigest(t *testing.T) {
	for value, want := range map[string]bool{
		"sha-256=1": true, "sha-256=10": true, "sha-512=10, sha-256=3": true, "sha-256=1,sha-512=0": true, "sha-256=5;x=1": true,
		"": false, "sha-256=0": false, "sha-256": false, "sha-512=10": false, "sha-256=11": false, "sha-256=-1": false,
		"SHA-256=1": false, "sha-256=1, sha-256=0": false, "sha-256=?1": false, "sha-256=": false, ",": false,
	} {
		if r, _ := parsed(t, "want-REPR-digest: "+value); r.WantsDigest != want {
			t.Errorf("%q: %v", value, r.WantsDigest)
		}
	}
	for last, want := range map[string]bool{"sha-512=1": true, "sha-256=0": false} {
		if r, _ := parsed(t, "Want-Repr-Digest: sha-256=1", "Want-Repr-Digest: "+last); r.WantsDigest != want {
			t.Errorf("%q: %v", last, r.WantsDigest)
		}
	}
}

// The vectors are those of `printf hello | openssl dgst -sha256 -binary | base64`.
func TestAppendDigests(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	if got := string(AppendReprDigest(nil, sum[:])); got != "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n" {
		t.Error(got)
	}
	if got := string(AppendContentTag(nil, sum[:])); got != `"LPJNul-wow4m6Dsqxbning"` {
		t.Error(got)
	}
}
