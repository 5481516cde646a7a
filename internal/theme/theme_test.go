package theme

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// The policies let a browser apply the styles that the pages have, and no other.
func TestHashes(t *testing.T) {
	for content, policy := range map[string]string{ErrorStyle: ErrorPolicy, ListingStyle: ListingPolicy, ListingScript: ListingPolicy} {
		sum := sha256.Sum256([]byte(content))
		directive := "style-src"
		if content == ListingScript {
			directive = "script-src"
		}
		if want := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(policy, directive+" 'sha256-"+want+"'") {
			t.Errorf("%s has the hash %s, the policy is %s", directive, want, policy)
		}
	}
}

// An error page is small: a flood of errors is to cost no more than of anything else.
func TestErrorIsSmall(t *testing.T) {
	if n := len(Head) + len(ErrorStyle); n > 600 {
		t.Errorf("%d bytes", n)
	}
}
