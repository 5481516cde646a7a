package theme

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// The policies let a browser apply the styles that the pages have, and no other.
func TestHashes(t *testing.T) {
	for style, policy := range map[string]string{ErrorStyle: ErrorPolicy, ListingStyle: ListingPolicy} {
		sum := sha256.Sum256([]byte(style))
		if want := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(policy, "'sha256-"+want+"'\r\n") {
			t.Errorf("the style has the hash %s, the policy is %s", want, policy)
		}
	}
}

// An error page is small: a flood of errors is to cost no more than of anything else.
func TestErrorIsSmall(t *testing.T) {
	if n := len(Head) + len(ErrorStyle); n > 600 {
		t.Errorf("%d bytes", n)
	}
}
