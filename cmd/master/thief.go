//go:build thief

package main

import (
	"fmt"
	"strconv"
	"strings"

	"phalanx/internal/sandbox/thief"
)

// runAttempt makes the attempt that the Markdown "thief NAME MASTER WORKER ROOT" names, with the
// pids of master and worker, and returns the outcome.
func runAttempt(markdown []byte) []byte {
	words := strings.Fields(string(markdown))
	if len(words) != 5 || words[0] != "thief" {
		return markdown
	}
	v := thief.Victims{Root: words[4]}
	v.Master, _ = strconv.Atoi(words[2]) // 0 if it is not a number
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
