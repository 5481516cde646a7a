package accesslog

import (
	"fmt"
	"time"
)

// quiet is the minimum time between two alerts.
const quiet = time.Minute

// writes notes that a write begins.
func (w *Writer) writes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = w.cfg.now()
	if w.watch == nil {
		w.watch = time.AfterFunc(w.cfg.slow, w.silent)
	} else {
		w.watch.Reset(w.cfg.slow)
	}
}

// returned notes that a write has returned. mu must be held.
func (w *Writer) returned() {
	w.hung = w.hung || w.hangs()
	w.writing = time.Time{}
	w.watch.Stop()
}

// hangs reports whether a disk has not responded to a write for long. mu must be held.
func (w *Writer) hangs() bool {
	return !w.writing.IsZero() && w.cfg.now().Sub(w.writing) >= w.cfg.slow
}

// silent sends an alert if the disk still does not respond, and another each minute.
func (w *Writer) silent() {
	w.mu.Lock()
	hangs := w.hangs()
	if hangs {
		w.watch.Reset(quiet)
	}
	w.mu.Unlock()
	if hangs {
		w.alert(errSilent)
	}
}

// alertFull sends an alert if rings have lost lines without an error.
func (w *Writer) alertFull(cause error) {
	w.mu.Lock()
	w.countLost()
	full := w.full
	w.mu.Unlock()
	if w.hung {
		cause = errHung
	}
	if full == w.alertedFull || w.alert(cause) {
		w.alertedFull, w.hung = full, false
	}
}

// alert sends an alert, unless the last one is too recent.
func (w *Writer) alert(cause error) bool {
	w.mu.Lock()
	now := w.cfg.now()
	if !w.told.IsZero() && now.Sub(w.told) < quiet {
		w.mu.Unlock()
		return false
	}
	w.told = now
	w.countLost()
	line := w.trouble(cause) + lost(w.full+w.dropped)
	w.mu.Unlock()
	w.cfg.Alert(line)
	return true
}

// trouble returns why lines cannot be written, with the name of the file. mu must be held, unless
// the goroutine calls.
func (w *Writer) trouble(cause error) string {
	return fmt.Sprintf("access log: write %s: %v", w.out.name, cause)
}
