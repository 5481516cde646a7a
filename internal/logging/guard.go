package logging

import (
	"encoding/json"
	"io"
	"strconv"

	"phalanx/internal/human"
)

// maxLine is the maximum length of a line in bytes, its newline included: a pipe takes it
// whole.
const maxLine = pipeBuf - 1

// The guards are the last resort against a line that is too long. Long fields are
// clipped before they are logged, so the guards should never have to act.
type (
	jsonGuard    struct{ w io.Writer }
	consoleGuard struct{ w io.Writer }
)

// Write replaces a long line by an object that quotes its beginning.
func (g jsonGuard) Write(p []byte) (int, error) {
	line := p
	if len(line) > maxLine {
		// Escaping turns a character into at most six bytes.
		begin, err := json.Marshal(human.Clip(string(p), 600))
		if err != nil {
			begin = []byte(`""`)
		}
		line = append([]byte(`{"level":"warn","bytes":`+strconv.Itoa(len(p))+`,"begin":`), begin...)
		line = append(line, `,"message":"log line too long"}`+"\n"...)
	}
	g.w.Write(line)
	return len(p), nil
}

// Write shortens a long line and resets its colour.
func (g consoleGuard) Write(p []byte) (int, error) {
	line := p
	if len(line) > maxLine {
		line = []byte(human.Clip(string(p), 1000) + "\x1b[0m\n") // a character has at most four bytes
	}
	g.w.Write(line)
	return len(p), nil
}
