//go:build !thief

package main

// tempted is replaced in tests, so that the process that renders READMEs tries forbidden
// actions.
func tempted(markdown []byte) []byte { return markdown }
