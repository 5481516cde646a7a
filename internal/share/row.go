package share

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"phalanx/internal/human"
)

// The colours (ECMA-48, SGR). They only repeat what the words say.
const (
	dim    = "2"
	bold   = "1"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// style formats text with or without colours.
type style struct{ coloured bool }

func (s style) paint(colour, text string) string {
	if !s.coloured || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// verbs has the word for each kind of request, and its colour.
var verbs = [...]struct{ word, colour string }{
	viewed:      {"viewed", dim},
	downloaded:  {"downloaded", green},
	interrupted: {"interrupted", yellow},
	unchanged:   {"unchanged", dim},
	refused:     {"refused", yellow},
}

// Widths of the columns before the name of a file.
const (
	clientWidth = 15 // an IPv4 address
	verbWidth   = len("interrupted")
)

// row formats a line about a request. The name is shortened to fit into width columns; 0
// means no limit.
func (s style) row(at time.Time, client string, k kind, name, note string, width int) string {
	verb := verbs[k]
	lead := at.Format(time.TimeOnly) + "  " + pad(client, clientWidth) + "  "
	word := pad(verb.word, verbWidth) + "  "
	if note != "" {
		note = "  " + note
	}
	if width > 0 {
		room := width - 1 - ansi.StringWidth(lead+word+note)
		if room < 12 && note != "" {
			room, note = room+ansi.StringWidth(note), ""
		}
		name = clip(name, max(room, 8))
	}
	return s.paint(dim, lead) + s.paint(verb.colour, word) + name + s.paint(dim, note)
}

// outcome describes the size and duration of a download, or why a request was refused.
func (e *event) outcome(k kind) string {
	switch k {
	case downloaded:
		text := human.Bytes(e.Bytes)
		if e.Millis >= 100 {
			text += " in " + human.Seconds(e.Millis/1000)
		}
		if e.Status == 206 {
			text += ", partial"
		}
		return text
	case interrupted:
		return "after " + human.Bytes(e.Bytes)
	case refused:
		return because(e.Status)
	}
	return ""
}

// because returns why a request was refused.
func because(status int) string {
	switch status {
	case 401:
		return "without the password"
	case 404:
		return "not found"
	case 503:
		return "too busy"
	}
	return fmt.Sprintf("status %d", status)
}

// Transfer is a download under way.
type Transfer struct {
	Client string // address and port
	Target string // of the request
	Sent   int64  // bytes
	Size   int64  // bytes; 0: unknown
}

// progress formats a line about a download under way for width columns. Parts that do not fit
// beside a shortened name are left out, the least important first.
func (s style) progress(name string, t Transfer, rate float64, width int) string {
	const least = 16 // columns of a name
	share := -1.0
	var parts []string
	if t.Size > 0 {
		share = min(1, float64(t.Sent)/float64(t.Size))
		parts = append(parts, left(human.Percent(math.Floor(share*100)/100), 5)) // only a complete file has 100 %
	}
	parts = append(parts, left(human.Bytes(rate)+"/s", 10))
	if t.Size > 0 {
		parts = append(parts, pad(remaining(t, rate), 13))
		parts = append(parts, left(human.Bytes(t.Sent)+" of "+human.Bytes(t.Size), 18))
	} else {
		parts = append(parts, left(human.Bytes(t.Sent)+" so far", 15))
	}
	parts = append(parts, human.Visible(human.Host(t.Client)))
	room, shown := width-1, ""
	for _, part := range parts {
		if n := ansi.StringWidth(part) + 2; room-n >= least {
			room -= n
			shown += "  " + part
		}
	}
	bar := ""
	if n := min(20, room-2-least-8); share >= 0 && n >= 8 {
		full := int(share * float64(n))
		bar = "  " + s.paint(cyan, strings.Repeat("━", full)) + s.paint(dim, strings.Repeat("─", n-full))
		room -= n + 2
	}
	return pad(clip(name, room), room) + bar + shown
}

// remaining returns the time that a download still takes, "" if it is unknown.
func remaining(t Transfer, rate float64) string {
	if rate < 1 {
		return ""
	}
	seconds := float64(t.Size-t.Sent) / rate
	if seconds > 99*3600 {
		return ""
	}
	return human.Age(seconds) + " left"
}

// clip shortens a name in the middle to width columns: its end, with the extension, is kept.
func clip(name string, width int) string {
	if ansi.StringWidth(name) <= width {
		return name
	}
	tail := (width - 1) / 2
	head := width - 1 - tail
	return ansi.Truncate(name, head, "") + "…" + ansi.TruncateLeft(name, ansi.StringWidth(name)-tail, "")
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

func left(text string, width int) string {
	return strings.Repeat(" ", max(0, width-ansi.StringWidth(text))) + text
}
