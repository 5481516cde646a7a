package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The measures of the picture of a terminal in pixels, and its colours.
const (
	cellWidth, cellHeight = 9, 19
	margin, bar           = 18, 38
	baseline              = 14 // from the top of a cell
	ink, paper, frame     = "#c9d1d9", "#12161c", "#1c222b"
)

// page returns the window of a terminal as an HTML document.
func page(screen [][]cell) string {
	width, height := columns*cellWidth+2*margin, rows*cellHeight+2*margin+bar
	var b strings.Builder
	fmt.Fprintf(&b, `<!DOCTYPE html><meta charset="utf-8"><style>html,body{margin:0;background:transparent}svg{display:block}
text{font:15px "DejaVu Sans Mono","Liberation Mono",monospace;white-space:pre}</style>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d">`, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="10" fill="%s"/><path d="M0 %dV10a10 10 0 0 1 10-10H%da10 10 0 0 1 10 10V%dZ" fill="%s"/>`,
		width, height, paper, bar, width-10, bar, frame)
	for i := range 3 {
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="6" fill="#3a434f"/>`, 22+20*i, bar/2)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#8b949e" text-anchor="middle">master top --admin %s</text>`, width/2, bar/2+5, admin)
	fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`, margin, bar+margin)
	for y, row := range screen {
		for x := 0; x < len(row); {
			x = stretch(&b, row, x, y)
		}
	}
	b.WriteString(`</g></svg>`)
	return b.String()
}

// stretch draws the cells from x on that have the same style, and returns their end.
func stretch(b *strings.Builder, row []cell, x, y int) int {
	end := x
	for end < len(row) && row[end].style == row[x].style {
		end++
	}
	fg, bg := row[x].fg, row[x].bg
	if fg == "" {
		fg = ink
	}
	if row[x].reverse {
		if bg == "" {
			bg = paper
		}
		fg, bg = bg, fg
	}
	if bg != "" {
		rect(b, bg, 1, float64(x*cellWidth), float64(y*cellHeight), float64((end-x)*cellWidth), cellHeight)
	}
	// Progress bars in adjacent rows would touch.
	inset := 0.0
	if slices.ContainsFunc(row, func(c cell) bool { return c.r == '░' }) {
		inset = 4
	}
	opacity := 1.0
	if row[x].faint {
		opacity = 0.62
	}
	var places, text strings.Builder
	for i := x; i < end; i++ {
		if !block(b, row[i].r, inset, fg, opacity, i, y) && row[i].r != ' ' {
			fmt.Fprintf(&places, "%d ", i*cellWidth)
			text.WriteString(html.EscapeString(string(row[i].r)))
		}
	}
	if text.Len() > 0 {
		weight := ""
		if row[x].bold {
			weight = ` style="font-weight:bold"`
		}
		fmt.Fprintf(b, `<text x="%s" y="%d" fill="%s" opacity="%g"%s>%s</text>`, places.String(), y*cellHeight+baseline, fg, opacity, weight, text.String())
	}
	return end
}

// block draws Unicode's block elements and the horizontal line, between which
// fonts leave gaps. It reports whether r is one of them.
func block(b *strings.Builder, r rune, inset float64, fg string, opacity float64, x, y int) bool {
	left, top := float64(x*cellWidth), float64(y*cellHeight)
	switch {
	case r == '█' || r == '░':
		if r == '░' {
			opacity *= 0.25
		}
		rect(b, fg, opacity, left, top+inset, cellWidth, cellHeight-2*inset)
	case r >= '▁' && r < '█':
		h := float64(r-'▁'+1) / 8 * cellHeight
		rect(b, fg, opacity, left, top+cellHeight-h, cellWidth, h)
	case r >= '▉' && r <= '▏':
		rect(b, fg, opacity, left, top+inset, float64('▏'-r+1)/8*cellWidth, cellHeight-2*inset)
	case r == '─':
		rect(b, fg, opacity, left, top+cellHeight/2, cellWidth, 1)
	default:
		return false
	}
	return true
}

func rect(b *strings.Builder, fill string, opacity, x, y, width, height float64) {
	fmt.Fprintf(b, `<rect x="%g" y="%g" width="%g" height="%g" fill="%s" opacity="%g" shape-rendering="crispEdges"/>`, x, y, width, height, fill, opacity)
}
