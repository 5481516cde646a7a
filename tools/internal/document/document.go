// Package document represents a report independently of its format, as a list
// of headings, paragraphs, tables and pictures. Packages markdown and pdf
// render it.
package document

import "phalanx/tools/internal/chart"

// Document is a title and a list of blocks.
type Document struct {
	Title  string
	Under  string // one line below the title
	Blocks []Block
}

// Block is one of Heading, Paragraph, List, Table and Picture.
type Block interface{ block() }

// Heading begins a section.
type Heading struct{ Text string }

// Paragraph is a paragraph of text.
type Paragraph struct{ Text string }

// List is a bulleted list.
type List struct{ Items []string }

// Table has a row of headings. The first column is text; the others are numbers.
type Table struct {
	Caption string
	Head    []string
	Rows    [][]string
	Text    bool // all columns are text
}

// Picture is a figure with its alternative text.
type Picture struct {
	Figure chart.Figure
	Alt    string
}

func (Heading) block()   {}
func (Paragraph) block() {}
func (List) block()      {}
func (Table) block()     {}
func (Picture) block()   {}

// Add appends blocks.
func (d *Document) Add(blocks ...Block) { d.Blocks = append(d.Blocks, blocks...) }

// Figures lists the figures of all pictures.
func (d *Document) Figures() []chart.Figure {
	var all []chart.Figure
	for _, b := range d.Blocks {
		if p, ok := b.(Picture); ok {
			all = append(all, p.Figure)
		}
	}
	return all
}
