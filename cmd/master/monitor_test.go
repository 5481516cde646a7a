package main

import "testing"

// An upgrade that is put off, as when a signal comes, continues with the log and with
// READMEs.
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
			t.Errorf("resumed %d times, not %d", resumed, i+1)
		}
	}
}
