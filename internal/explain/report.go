package explain

import (
	"fmt"
	"strings"

	"phalanx/internal/human"
)

// width is the width of the text in characters; longest is how many characters of a line
// or a reason are shown.
const (
	width   = 80
	longest = 600
)

// String renders the report as plain text of 80 columns. Characters that control a
// terminal, or the direction of text, are escaped.
func (r Report) String() string {
	var b strings.Builder
	if r.Base != "" {
		b.WriteString("Document root\n")
		folded(&b, r.Base)
		b.WriteByte('\n')
	}
	b.WriteString("Request\n")
	for _, line := range r.Request {
		folded(&b, line)
	}
	for _, note := range r.Notes {
		b.WriteByte('\n')
		wrapped(&b, "  ", "  ", note)
	}
	b.WriteString("\nResponse\n")
	if r.Interim != "" {
		folded(&b, r.Interim)
		b.WriteByte('\n')
	}
	for _, line := range r.Lines {
		folded(&b, line.Text)
		wrapped(&b, "        ", "        ", line.Why)
	}
	b.WriteString("\nBody\n")
	for _, part := range r.Body {
		wrapped(&b, "  ", "    ", part)
	}
	b.WriteString("\nSteps\n")
	for _, step := range r.Steps {
		wrapped(&b, fmt.Sprintf("  %-13s ", visible(step.What)), strings.Repeat(" ", 16), step.Why)
	}
	b.WriteString("\nConnection\n")
	wrapped(&b, "  ", "  ", r.Ends)
	return b.String()
}

// folded writes a line of a head and keeps all its spaces. A long line is broken, at a
// space if it has one, and continues with a larger indent.
func folded(b *strings.Builder, line string) {
	rest, indent := []rune(visible(line)), "  "
	for {
		n := min(len(rest), width-len(indent))
		next := n
		if n < len(rest) {
			for i := n; i > 0; i-- {
				if rest[i] == ' ' {
					n, next = i, i+1
					break
				}
			}
		}
		b.WriteString(indent + string(rest[:n]) + "\n")
		if rest, indent = rest[next:], "    "; len(rest) == 0 {
			return
		}
	}
}

// wrapped writes a text broken between words, with one indent for the first line and
// another for the rest.
func wrapped(b *strings.Builder, first, others, text string) {
	b.WriteString(human.Wrap(width, first, others, visible(text)))
}

// visible clips a text and escapes it for a terminal.
func visible(s string) string { return human.Visible(human.Clip(s, longest)) }
