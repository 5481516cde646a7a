package options

import "testing"

// A value in the syntax of --header is not a pattern with the value 3.
func TestCacheInTheSyntaxOfHeader(t *testing.T) {
	_, err := parseMaster([]string{"--cache", "a/*: max-age=3"}, none)
	if want := "--cache \"a/*: max-age=3\": must be GLOB=VALUE, such as '*.html=no-cache'"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
