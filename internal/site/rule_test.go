package site

import "testing"

// A pattern with a slash, at its start too, is about the path from the root.
func TestRuleMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"index.html", "index.html", true}, {"index.html", "sub/index.html", true},
		{"/index.html", "index.html", true}, {"/index.html", "sub/index.html", false},
		{"*.js", "a/b.js", true}, {"/*.js", "b.js", true}, {"/*.js", "a/b.js", false},
		{"a/*.js", "a/b.js", true}, {"a/*.js", "x/a/b.js", false}, {"**/b.js", "x/a/b.js", true},
	} {
		rule := Rule{Pattern: tt.pattern}
		if got := rule.matches(tt.name); got != tt.want {
			t.Errorf("%s matches %s: %v", tt.pattern, tt.name, got)
		}
	}
}
