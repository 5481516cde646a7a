package main

import "testing"

// After an upgrade that is postponed, for instance because of a signal, the log and READMEs
// continue.
func TestUpgradePutOff(t *testing.T) {
	m := &monitor{readmes: newRenderer("")}
	defer m.readmes.close()
	resumed := 0
	leave := m.leave(func() ([]byte, int, func()) { return []byte("a line"), 2, func() { resumed++ } })
	for i := range 2 {
		unwritten, dropped, resume := leave()
		if string(unwritten) != "a line" || dropped != 2 || resumed != i {
			t.Errorf("%q, %d lines dropped, resumed %d times", unwritten, dropped, resumed)
		}
		resume()
		if resumed != i+1 {
			t.Errorf("resumed %d times, want %d", resumed, i+1)
		}
	}
}
