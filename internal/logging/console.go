package logging

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
)

// console writes events for people. A request is a row of columns that fits the
// terminal; any other event is its message and its fields, in as many lines as needed.
// Warnings and errors have a mark in front, for terminals without colours.
type console struct {
	to    io.Writer
	width func() int // of the terminal in columns; 0: not a terminal
	color bool
	ids   bool // show ids of requests
	erase bool // there may be a status line to erase
}

// Write writes an event, given as JSON.
func (c console) Write(p []byte) (int, error) {
	e, err := decode(p)
	switch {
	case err != nil:
		_, _ = c.to.Write(p)
	case e.text("message") == "request":
		_, _ = c.to.Write(c.request(e))
	default:
		_, _ = c.to.Write(c.event(e))
	}
	return len(p), nil
}

type field struct{ name, value string }

// event has the fields of an event in their order.
type event []field

func decode(p []byte) (e event, err error) {
	d := json.NewDecoder(bytes.NewReader(p))
	if _, err = d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		key, _ := name.(string)
		value := string(raw)
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &value); err != nil {
				return nil, err
			}
		}
		e = append(e, field{key, value})
	}
	return e, nil
}

func (e event) text(name string) string {
	for _, f := range e {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

func (e event) number(name string) float64 {
	n, _ := strconv.ParseFloat(e.text(name), 64)
	return n
}

// The colours (ECMA-48, SGR).
const (
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (c console) paint(dst []byte, color, text string) []byte {
	if !c.color || color == "" {
		return append(dst, text...)
	}
	return append(append(append(append(dst, "\x1b["...), color...), 'm'), text+"\x1b[0m"...)
}

// lead returns the beginning of every line: the time of day and the worker.
func (c console) lead(e event) []byte {
	at := e.text("time")
	if len(at) >= len("2006-01-02T15:04:05") {
		at = human.Visible(at[11:19])
	}
	slot := e.text("slot")
	if slot != "" {
		slot = "w" + slot
	}
	var line []byte
	if c.erase {
		line = append(line, eraseLine...)
	}
	return append(c.paint(line, dim, pad(at, 8)+" "+pad(slot, 3)), ' ')
}

// Columns of a row beside the path.
const (
	besidePath  = len("15:04:05 w0   404 GET ") + len("  1.23 MB  1.20 ms  ")
	clientWidth = len("192.168.100.100")
)

// request formats a request as a row: time, worker, status, method, path, size, duration,
// client. The path takes the remaining width; if it is longer, its end is shown.
func (c console) request(e event) []byte {
	status := int(e.number("status"))
	mark, color := " ", green
	switch {
	case status >= 500:
		mark, color = "!", red
	case status >= 400:
		mark, color = "!", yellow
	case status >= 300:
		color = cyan
	}
	line := append(c.paint(c.lead(e), color, mark+pad(shown(e.text("status")), 3)), ' ')
	method, path, client := pad(shown(e.text("method")), 3), shown(e.text("path")), shown(human.Host(e.text("client")))
	size, took := left(human.Bytes(e.number("bytes")), 7), left(human.Seconds(e.number("ms")/1e3), 7)
	room, width := 40, c.width()
	if width > 0 {
		client = tail(client, max(clientWidth, width/4)) // IPv6 addresses may be longer
		room = width - besidePath - max(clientWidth, utf8.RuneCountInString(client)) - (len(method) - 3) - (utf8.RuneCountInString(size+took) - 14)
		path = tail(path, max(room, 8))
	}
	line = append(line, method+" "+pad(path, room)+"  "...)
	line = append(c.paint(line, dim, size+"  "+took+"  "+client), '\n')
	var more []string
	if e.text("slow") != "" {
		more = append(more, "slow: "+shown(e.text("slow"))+" took "+human.Seconds(e.number("slow_ms")/1e3))
	}
	if reason := e.text("reason"); reason != "" {
		more = append(more, human.Visible(reason))
	}
	if id := e.text("id"); id != "" && c.ids {
		more = append(more, "id "+shown(id))
	}
	return c.wrap(line, more)
}

// event formats a message and its fields.
func (c console) event(e event) []byte {
	mark, color := " ", ""
	switch e.text("level") {
	case "warn":
		mark, color = "!", yellow
	case "error", "fatal", "panic":
		mark, color = "!", red
	case "debug", "trace":
		color = dim
	}
	message := human.Visible(e.text("message"))
	line := c.paint(c.lead(e), color, mark+message)
	column := indent + utf8.RuneCountInString(message)
	for _, f := range e {
		text := f.name + "=" + shown(f.value)
		name, isTime := strings.CutSuffix(f.name, "_ms")
		switch {
		case slices.Contains([]string{"time", "level", "message", "slot"}, f.name), saysAlready(message, name, f.value):
			continue
		case isTime:
			ms, _ := strconv.ParseFloat(f.value, 64)
			text = name + "=" + human.Seconds(ms/1e3)
		case f.name == "bytes":
			n, _ := strconv.ParseInt(f.value, 10, 64)
			text = f.name + "=" + human.Bytes(n)
		case f.name == "bytes_per_second":
			n, _ := strconv.ParseFloat(f.value, 64)
			text = "rate=" + human.Bytes(n) + "/s"
		}
		column += 2 + utf8.RuneCountInString(text)
		if width := c.width(); width > 0 && column > width {
			line = append(line, "\n"+strings.Repeat(" ", indent-2)...)
			column = indent + utf8.RuneCountInString(text)
		}
		line = c.paint(append(line, "  "...), dim, text)
	}
	return append(line, '\n')
}

// saysAlready reports whether the message of a worker's death contains the field: "worker
// 0 (pid 7) died: killed by SIGKILL; uptime 1m0s".
func saysAlready(message, name, value string) bool {
	return strings.Contains(message, " died") && (strings.Contains(message, name+" ") || strings.Contains(message, value))
}

// indent is the column in which the message of an event begins.
const indent = len("15:04:05 w0   ")

// wrap appends a line for each of the texts, beneath the method of a request.
func (c console) wrap(line []byte, texts []string) []byte {
	for _, text := range texts {
		line = append(c.paint(append(line, strings.Repeat(" ", indent+4)...), yellow, text), '\n')
	}
	return line
}

// shown returns untrusted text, escaped for a terminal; "-" if it is empty.
func shown(s string) string {
	if s == "" {
		return "-"
	}
	return human.Quoted(s)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

func left(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s))) + s
}

// tail shortens a text to its end, after an ellipsis, if it is wider than width.
func tail(s string, width int) string {
	n := utf8.RuneCountInString(s)
	if n <= width {
		return s
	}
	return ellipsis + string([]rune(s)[n-width+1:])
}

// Width returns the current width of a terminal in columns, 0 if the file is not one.
func Width(file *os.File) (width int) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // on a closed file the width stays 0
		if size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			width = int(size.Col)
		}
	})
	return width
}
