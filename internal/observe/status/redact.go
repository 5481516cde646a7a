package status

import "strings"

// Redacted returns a snapshot without query strings.
func (p Pool) Redacted() Pool {
	workers := make([]Worker, len(p.Workers))
	for i, w := range p.Workers {
		if w.Oldest != nil {
			w.Oldest = &Request{Line: withoutQuery(w.Oldest.Line), Age: w.Oldest.Age}
		}
		workers[i] = w
	}
	p.Workers = workers
	return p
}

// Redacted returns a list without query strings, in which name replaces the address and
// port of each client.
func (c Connections) Redacted(name func(client string) string) Connections {
	list := make([]Connection, len(c.Connections))
	for i, one := range c.Connections {
		one.Client, one.Line = name(one.Client), withoutQuery(one.Line)
		list[i] = one
	}
	c.Connections = list
	return c
}

// withoutQuery returns the line of a request up to its query string.
func withoutQuery(line string) string {
	path, _, has := strings.Cut(line, "?")
	if has {
		path += "?…"
	}
	return path
}
