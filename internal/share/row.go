package share

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"phalanx/internal/human"
)

// The colours (ECMA-48, SGR); each is beside a word that says the same.
const (
	dim    = "2"
	bold   = "1"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// style writes in colours, or does not.
type style struct{ coloured bool }

func (s style) paint(colour, text string) string {
	if !s.coloured || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// verbs are what a row says of a request, and its colour.
var verbs = [...]struct{ word, colour string }{
	looked:      {"looked at", dim},
	downloaded:  {"downloaded", green},
	interrupted: {"interrupted", yellow},
	unchanged:   {"has it", dim},
	refused:     {"refused", yellow},
}

// width of the columns before the name of a file.
const (
	clientWidth = 15 // an address of IPv4
	verbWidth   = len("interrupted")
)

// row is a line about a request. Its name is clipped to the width in columns; 0:
// nothing is.
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

// outcome says how much a request came to, and how long it took.
func (e *event) outcome(k kind) string {
	switch k {
	case downloaded:
		text := human.Bytes(e.Bytes)
		if e.Millis >= 100 {
			text += " in " + human.Seconds(e.Millis/1000)
		}
		if e.Status == 206 {
			text += ", a part"
		}
		return text
	case interrupted:
		return "after " + human.Bytes(e.Bytes)
	case refused:
		return because(e.Status)
	}
	return ""
}

// because says why a request was refused.
func because(status int) string {
	switch status {
	case 401:
		return "without the password"
	case 404:
		return "there is none"
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
	Size   int64  // bytes; 0: not known
}

// progress is a line about a download under way, in so many columns. What fits beside
// at least some of the name is shown, the most important first.
func (s style) progress(name string, t Transfer, rate float64, width int) string {
	const least = 16 // columns of a name
	share := -1.0
	var parts []string
	if t.Size > 0 {
		share = min(1, float64(t.Sent)/float64(t.Size))
		parts = append(parts, left(human.Percent(share), 5))
	}
	parts = append(parts, left(human.Bytes(rate)+"/s", 10))
	if t.Size > 0 {
		parts = append(parts, pad(remaining(t, rate), 13))
		parts = append(parts, left(human.Bytes(t.Sent)+" of "+human.Bytes(t.Size), 18))
	} else {
		parts = append(parts, left(human.Bytes(t.Sent)+" so far", 15))
	}
	parts = append(parts, human.Host(t.Client))
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

// remaining is how long a download still takes.
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

// clip is a name in so many columns: of a longer one the beginning and the end, which
// tells what kind of file it is.
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
