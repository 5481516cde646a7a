package top

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"phalanx/internal/human"
)

// Request lines are what clients say, and they end on an operator's terminal.
// What passes here are runes that print, take one or two cells wherever they
// stand, and change nothing about their neighbours; all others are spelled out.
// Then a text's width is the sum of its runes' widths, whether a terminal goes
// by runes or by grapheme clusters, and it can be cut between any two.

const ellipsis = "…"

// clean makes s fit to be printed, in at most so many cells; what was cut ends
// in an ellipsis.
func clean(s string, cells int) string {
	if cells <= 0 {
		return ""
	}
	var b strings.Builder
	used, keep := 0, 0 // keep is how long the text may be when an ellipsis follows
	for last := ""; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		piece := spell(last, r, s[:n])
		w := ansi.StringWidthWc(piece)
		if used+w > cells {
			return b.String()[:keep] + ellipsis
		}
		b.WriteString(piece)
		if used += w; used < cells {
			keep = b.Len()
		}
		last, s = piece, s[n:]
	}
	return b.String()
}

// spell is how a rune appears after another one.
func spell(last string, r rune, raw string) string {
	switch {
	case ' ' <= r && r < 0x7f:
		return raw
	case human.Visible(raw) != raw, unicode.IsMark(r), unicode.Is(unicode.Regional_Indicator, r),
		r >= 0x1160 && r <= 0x11ff, r >= 0xd7b0 && r <= 0xd7ff: // Hangul that joins what stands before it
		return human.Escaped(raw)
	}
	alone := ansi.StringWidthWc(raw)
	if alone < 1 || alone != ansi.StringWidth(raw) || ansi.StringWidth(last+raw) != ansi.StringWidthWc(last)+alone {
		return human.Escaped(raw)
	}
	return raw
}

// breadth is how many cells a clean text takes.
func breadth(s string) int { return ansi.StringWidthWc(s) }

// cutMiddle shortens an address and keeps both its network and its port.
func cutMiddle(s string, cells int) string {
	s = clean(s, 4096)
	if breadth(s) <= cells || cells < 9 {
		return clean(s, cells)
	}
	runes := []rune(s)
	tail := runes[len(runes)-min(len(runes), cells/2-1):]
	for breadth(string(tail)) > cells/2 {
		tail = tail[1:]
	}
	return clean(s, cells-breadth(string(tail))) + string(tail)
}

// pad brings a clean text to a width exactly.
func pad(s string, cells int, left bool) string {
	s = clean(s, cells)
	space := strings.Repeat(" ", max(0, cells-breadth(s)))
	if left {
		return s + space
	}
	return space + s
}

// wrap breaks a clean text at spaces into at most so many lines.
func wrap(s string, cells, lines int) []string {
	var out []string
	for len(out) < lines-1 && breadth(s) > cells {
		head := strings.TrimSuffix(clean(s, cells+2), ellipsis) // one more than a line, for a space at its end
		at := strings.LastIndexByte(head, ' ')
		if at <= 0 {
			break
		}
		out, s = append(out, s[:at]), s[at+1:]
	}
	return append(out, clean(s, cells))
}
