//go:build thief

package main

import (
	"fmt"
	"strconv"
	"strings"

	"phalanx/internal/sandbox/thief"
)

// tempted makes this process try what the Markdown "thief NAME MASTER WORKER ROOT"
// names, with the pids of two victims, and returns what came of it.
func tempted(markdown []byte) []byte {
	words := strings.Fields(string(markdown))
	if len(words) != 5 || words[0] != "thief" {
		return markdown
	}
	v := thief.Victims{Root: words[4]}
	v.Master, _ = strconv.Atoi(words[2]) // 0, which is a victim too, if it is no number
	v.Sibling, _ = strconv.Atoi(words[3])
	a, ok := thief.Find(words[1])
	if !ok {
		return []byte("outcome: no such attempt")
	}
	if err := a.Do(v); err != nil {
		return fmt.Appendf(nil, "outcome: refused, %v", err)
	}
	return []byte("outcome: DONE")
}
