package rules

import (
	"bytes"
	"slices"
	"strings"

	"phalanx/internal/proto"
)

// parameter is a parameter that the query must have.
type parameter struct {
	key   string
	value string // decoded
	open  bool   // any non-empty value: a placeholder
}

// isParameter reports whether a word is a parameter and not the target.
func isParameter(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && !strings.ContainsAny(name, "/:?#")
}

// readParameter parses "name=value" or "name=:placeholder".
func (r *redirect) readParameter(word string) error {
	key, value, _ := strings.Cut(word, "=")
	p := parameter{key: decode(key), value: decode(value)}
	if key == "" {
		return r.errorf("%q: a parameter must be name=value or name=:placeholder", word)
	}
	if slices.ContainsFunc(r.query, func(other parameter) bool { return other.key == p.key }) {
		return r.errorf("the parameter %q appears twice", p.key)
	}
	if n := placeholder(value); n > 0 {
		if n != len(value) {
			return r.errorf("%q: a placeholder must be the whole value of a parameter", word)
		}
		p.open, p.value = true, ""
		if err := r.from.add(value[1:], r.Position); err != nil {
			return err
		}
	}
	if r.query = append(r.query, p); len(r.from.names) > maxNames || len(r.query) > maxNames {
		return r.errorf("more than %d placeholders or parameters", maxNames)
	}
	return nil
}

func decode(text string) string { return string(appendDecoded(nil, []byte(text))) }

// appendDecoded decodes a part of a query in form encoding. Malformed escapes are kept.
func appendDecoded(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '+' {
			c = ' '
		} else if decoded, ok := proto.Unescape(text[i:]); ok && c == '%' {
			c = decoded
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

// matchQuery reports whether the query has exactly the parameters of the rule, in any order,
// and appends the values of placeholders to m.args, in the order of the rule.
func (r *redirect) matchQuery(m *Match, query []byte) bool {
	first := len(m.args)
	m.args = append(m.args, make([][]byte, len(r.query))...)
	values := m.args[first:] // of all parameters first
	left := len(r.query)
	for rest := bytes.TrimPrefix(query, []byte("?")); len(rest) > 0; {
		var word []byte
		if word, rest, _ = bytes.Cut(rest, []byte("&")); len(word) == 0 {
			continue
		}
		if !r.take(m, word, values) {
			return false
		}
		left--
	}
	if left > 0 {
		return false
	}
	m.args = m.args[:first]
	for i, p := range r.query {
		if p.open {
			m.args = append(m.args, values[i])
		}
	}
	return true
}

// take stores the value of a parameter of the query; false if the rule does not allow it.
func (r *redirect) take(m *Match, word []byte, values [][]byte) bool {
	name, text, _ := bytes.Cut(word, []byte("="))
	from := len(m.values)
	m.values = appendDecoded(m.values, name)
	key := m.values[from:]
	from = len(m.values)
	m.values = appendDecoded(m.values, text)
	value := m.values[from:]
	for i, p := range r.query {
		if string(key) != p.key {
			continue
		}
		if values[i] != nil || p.open && len(value) == 0 || !p.open && string(value) != p.value {
			return false
		}
		values[i] = value[:len(value):len(value)]
		return true
	}
	return false
}
