package status

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A worker lists its connections in lines of JSON: first how many there are, then
// each as a [Connection]. The master does not trust them: it reads line by line, and
// no more than a correct worker writes. Without these limits a corrupted worker could
// exhaust the master's memory.
const (
	MaxConnections = 20_000
	MaxLine        = 1 << 10 // bytes of a [Connection.Line]
	maxRecord      = 8 << 10 // bytes of a line of the list; a byte of a Line takes up to six
	maxList        = 8 << 20 // bytes of the list
)

// listHead is the first line.
type listHead struct {
	Total int `json:"total"`
}

// WriteList writes the connections that the list has room for, the first ones
// first, and Total. Slot and PID are not written: the master knows them.
func (c *Connections) WriteList(w io.Writer) error {
	out := bufio.NewWriter(w)
	room := maxList
	for i := range len(c.Connections) + 1 {
		var record any = listHead{c.Total}
		if i > 0 {
			one := c.Connections[i-1]
			one.Line = one.Line[:min(len(one.Line), MaxLine)]
			record = one
		}
		text, err := json.Marshal(record)
		if err != nil {
			return err
		}
		if room -= len(text) + 1; room < 0 || i > MaxConnections {
			break
		}
		out.Write(append(text, '\n'))
	}
	return out.Flush()
}

var errList = errors.New("malformed list of connections")

// ReadList reads what WriteList has written.
func ReadList(r io.Reader) (c Connections, err error) {
	lines := bufio.NewReaderSize(io.LimitReader(r, maxList), maxRecord)
	var head listHead
	if err := readRecord(lines, &head); err != nil {
		return c, fmt.Errorf("%w: %w", errList, err)
	}
	for {
		var one Connection
		switch err := readRecord(lines, &one); {
		case err == io.EOF:
			c.Total = max(head.Total, len(c.Connections))
			return c, nil
		case err != nil:
			return Connections{}, fmt.Errorf("%w: connection %d: %w", errList, len(c.Connections)+1, err)
		case len(c.Connections) == MaxConnections:
			return Connections{}, fmt.Errorf("%w: more than %d connections", errList, MaxConnections)
		case !slices.Contains([]string{ConnIdle, ConnReceiving, ConnSending, ConnEnding}, one.State):
			return Connections{}, fmt.Errorf("%w: connection %d has state %.20q", errList, len(c.Connections)+1, one.State)
		}
		one.bound()
		c.Connections = append(c.Connections, one)
	}
}

// readRecord reads one line. The error is io.EOF when there is none left.
func readRecord(lines *bufio.Reader, record any) error {
	line, err := lines.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) > 0:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	return json.Unmarshal(line, record)
}

// bound clamps numbers to their valid range, so that computing with them is safe.
func (c *Connection) bound() {
	const century = 100 * 365 * 86400
	c.Size = max(0, c.Size)
	c.Sent = max(0, c.Sent)
	if c.Size > 0 {
		c.Sent = min(c.Sent, c.Size)
	}
	c.Age = min(max(0, c.Age), century)
	c.Streams = min(max(0, c.Streams), 1<<20)
}
