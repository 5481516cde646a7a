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
	base := name[strings.LastIndexByte(name, '/')+1:]
	for i := range rules {
		rule, against := &rules[i], base
		if strings.Contains(rule.Pattern, "/") {
			against = name
		}
		if doublestar.MatchUnvalidated(rule.Pattern, against) {
			return rule
		}
	}
	return nil
}
