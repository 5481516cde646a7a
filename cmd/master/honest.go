//go:build !thief

package main

// runAttempt is replaced in tests, so that the process that renders READMEs tries forbidden
// actions.
func runAttempt(markdown []byte) []byte { return markdown }
