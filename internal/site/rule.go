package site

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule gives files a Cache-Control value, or a media type, by their path. A pattern with a
// slash, be it the first character, is matched against the whole path from the root, one
// without against the file's own name; "*" matches within a directory, "**" also across
// directories. The pattern must be valid.
type Rule struct {
	Pattern string
	Value   string
}

// ruleFor returns the first rule that matches the name, nil if none does.
func ruleFor(rules []Rule, name string) *Rule {
	for i := range rules {
		if rules[i].matches(name) {
			return &rules[i]
		}
	}
	return nil
}

// matches reports whether the pattern matches a name.
func (rule *Rule) matches(name string) bool {
	pattern, rooted := strings.CutPrefix(rule.Pattern, "/")
	if !rooted && !strings.Contains(pattern, "/") {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	return doublestar.MatchUnvalidated(pattern, name)
}
