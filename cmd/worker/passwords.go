package main

import (
	"phalanx/internal/certificate"
	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/password"
	"phalanx/internal/website"
)

// usePasswords applies the password files that the master has read.
func usePasswords(p *website.Passwords, files []certificate.Passwords) error {
	if p == nil {
		return nil
	}
	for _, f := range files {
		if err := p.Use(string(f.Name), f.Text); err != nil {
			return err
		}
	}
	return p.Ready()
}

// passwordChecker returns the checker of credentials, whose outcomes are counted in row; nil if nothing
// is protected.
func passwordChecker(p *website.Passwords, row *scoreboard.Row) conn.Passwords {
	if p == nil {
		return nil
	}
	p.Count = func(o password.Outcome) { row.Checked[o-1].Add(1) } // Pending is not counted
	return p
}

var _ = [1]struct{}{}[int(scoreboard.NumChecked)-int(password.NumOutcomes-1)] // both have the same outcomes
