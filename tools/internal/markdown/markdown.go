// Package markdown renders a document as GitHub Flavored Markdown.
package markdown

import (
	"strings"

	"phalanx/tools/internal/document"
)

// Write returns the text. Pictures refer to SVG files in the directory charts.
func Write(d document.Document) []byte {
	var b strings.Builder
	b.WriteString("# " + d.Title + "\n\n" + wrap(d.Under) + "\n")
	for _, block := range d.Blocks {
		b.WriteByte('\n')
		switch block := block.(type) {
		case document.Heading:
			b.WriteString("## " + block.Text + "\n")
		case document.Paragraph:
			b.WriteString(wrap(escape(block.Text)) + "\n")
		case document.List:
			for _, item := range block.Items {
				b.WriteString(strings.ReplaceAll(wrap("- "+escape(item)), "\n", "\n  ") + "\n")
			}
		case document.Table:
			table(&b, block)
		case document.Picture:
			b.WriteString("![" + escape(block.Alt) + "](charts/" + block.Figure.Name + ".svg)\n")
		}
	}
	return []byte(b.String())
}

func table(b *strings.Builder, t document.Table) {
	if t.Caption != "" {
		b.WriteString("**" + escape(t.Caption) + "**\n\n")
	}
	row := func(cells []string) {
		b.WriteByte('|')
		for _, c := range cells {
			b.WriteString(" " + strings.ReplaceAll(escape(c), "|", `\|`) + " |")
		}
		b.WriteByte('\n')
	}
	row(t.Head)
	rule := "|---|"
	if n := len(t.Head) - 1; t.Text {
		rule += strings.Repeat("---|", n)
	} else {
		rule += strings.Repeat("---:|", n)
	}
	b.WriteString(rule + "\n")
	for _, cells := range t.Rows {
		row(cells)
	}
}

// escape escapes characters that would be markup.
func escape(s string) string {
	return strings.NewReplacer("*", `\*`, "_", `\_`, "<", "&lt;").Replace(s)
}

const column = 79

// wrap breaks text between words into lines of at most column characters.
func wrap(s string) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(s) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case at+1+n > column:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
