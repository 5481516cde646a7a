//go:build !thief

package main

// tempted is where a test makes the process that renders READMEs try what it must not do.
func tempted(markdown []byte) []byte { return markdown }
