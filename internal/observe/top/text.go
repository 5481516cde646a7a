package top

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"phalanx/internal/human"
)

// Request lines come from clients and end up on an operator's terminal. Only runes that
// are printable, take one or two cells, and do not combine with their neighbours are shown
// as they are; all others are escaped. So the width of a text is the sum of the widths of
// its runes, whether a terminal measures runes or grapheme clusters, and it can be cut
// between any two.

const ellipsis = "…"

// clean escapes what is not printable and shortens s to at most cells cells, with an
// ellipsis at the end of a shortened text.
func clean(s string, cells int) string {
	if cells <= 0 {
		return ""
	}
	var b strings.Builder
	used, keep := 0, 0 // keep is the longest length that leaves room for an ellipsis
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

// spell returns raw, the bytes of r, or its escape if it is not safe after last.
func spell(last string, r rune, raw string) string {
	switch {
	case ' ' <= r && r < 0x7f:
		return raw
	case human.Visible(raw) != raw, unicode.IsMark(r), unicode.Is(unicode.Regional_Indicator, r),
		r >= 0x1160 && r <= 0x11ff, r >= 0xd7b0 && r <= 0xd7ff: // Hangul that combines with the rune before it
		return human.Escaped(raw)
	}
	alone := ansi.StringWidthWc(raw)
	if alone < 1 || alone != ansi.StringWidth(raw) || ansi.StringWidth(last+raw) != ansi.StringWidthWc(last)+alone {
		return human.Escaped(raw)
	}
	return raw
}

// textWidth returns the width of a clean text in cells.
func textWidth(s string) int { return ansi.StringWidthWc(s) }

// cutMiddle cleans a text and shortens it in the middle: of an address, the network and
// the port are kept.
func cutMiddle(s string, cells int) string {
	s = clean(s, 4096)
	if textWidth(s) <= cells || cells < 9 {
		return clean(s, cells)
	}
	runes := []rune(s)
	tail := runes[len(runes)-min(len(runes), cells/2-1):]
	for textWidth(string(tail)) > cells/2 {
		tail = tail[1:]
	}
	return clean(s, cells-textWidth(string(tail))) + string(tail)
}

// pad cleans a text and shortens it or fills it with spaces to exactly cells cells.
func pad(s string, cells int, left bool) string {
	s = clean(s, cells)
	space := strings.Repeat(" ", max(0, cells-textWidth(s)))
	if left {
		return s + space
	}
	return space + s
}

// wrap breaks a clean text at spaces into at most the given number of lines.
func wrap(s string, cells, lines int) []string {
	var out []string
	for len(out) < lines-1 && textWidth(s) > cells {
		head := strings.TrimSuffix(clean(s, cells+2), ellipsis) // one more than a line, for a space at its end
		at := strings.LastIndexByte(head, ' ')
		if at <= 0 {
			break
		}
		out, s = append(out, s[:at]), s[at+1:]
	}
	return append(out, clean(s, cells))
}
