package rules

import (
	"slices"
	"strings"

	"phalanx/internal/proto"
)

// maxHops is the number of redirects after which browsers give up (Fetch standard, §4.4).
const maxHops = 20

// checkLoops refuses redirect loops. It follows each rule from one sample path that it
// matches, as if there were no files. A rule whose targets only become longer is marked, and
// refused if it is forced, because no file could end it. Several rules that make each other's
// targets longer are refused too.
func (s *Set) checkLoops() error {
	var m Match
	for i := range s.redirects {
		rule := &s.redirects[i]
		if !rule.moves() || rule.to.external || len(rule.query) > 0 || rule.from.host != nil {
			continue
		}
		path := rule.from.sample()
		seen := []string{path}
		var applied []*redirect
		for forced := true; ; {
			if !s.Find(&m, Request{Path: []byte(path)}) || !m.rule.moves() || m.external {
				break
			}
			if len(seen) == 1 && m.rule != rule {
				break // that rule is checked by itself
			}
			if len(seen) == 2 && m.rule == rule {
				rule.grows = true
			}
			forced = forced && m.rule.forced
			applied = append(applied, m.rule)
			path, _, _ = strings.Cut(string(m.target), "?")
			path, _, _ = strings.Cut(path, "#")
			if slices.Contains(seen, path) {
				return rule.errorf("these redirects never end: %s", strings.Join(append(seen, path), " → "))
			}
			if seen = append(seen, path); len(seen) > maxHops {
				if forced || alternate(applied) {
					return rule.errorf("these redirects never end: %s → …", strings.Join(seen[:3], " → "))
				}
				break
			}
		}
	}
	return nil
}

// alternate reports whether the last of the rules has been applied before, with others between.
func alternate(rules []*redirect) bool {
	last := len(rules) - 1
	return rules[last] != rules[last-1] && slices.Contains(rules[:last], rules[last])
}

// sample returns a path that the pattern matches.
func (p *pattern) sample() string {
	var path []byte
	for _, h := range p.path {
		path = h.appendSample(append(path, '/'))
	}
	if p.splat != nil {
		path = p.splat.appendSample(append(path, '/'))
	}
	if len(path) == 0 {
		return "/"
	}
	return string(path)
}

func (h hole) appendSample(dst []byte) []byte {
	dst = proto.AppendEscaped(dst, h.prefix, inPath)
	if h.open {
		dst = append(dst, "sample"...)
	}
	return proto.AppendEscaped(dst, h.suffix, inPath)
}
