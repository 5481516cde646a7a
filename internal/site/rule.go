package site

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule gives files a Cache-Control value, or a media type, by their path. A pattern with a
// slash is held against the whole path from the root, one without against
// the file's own name; "*" stays within a directory, "**" does not. The
// pattern must be valid.
type Rule struct {
	Pattern string
	Value   string
}

// ruleFor returns the first rule that fits the name, nil if none does.
func ruleFor(rules []Rule, name string) *Rule {
	for i := range rules {
		if rules[i].fits(name) {
			return &rules[i]
		}
	}
	return nil
}

// fits reports whether the rule is for a name.
func (rule *Rule) fits(name string) bool {
	if !strings.Contains(rule.Pattern, "/") {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	return doublestar.MatchUnvalidated(rule.Pattern, name)
}
