// Package document is a report without a format: headings, sentences,
// tables and pictures in their order. markdown and pdf write it down.
package document

import "phalanx/tools/internal/chart"

// Document is a title with what follows it.
type Document struct {
	Title  string
	Under  string // one line below the title
	Blocks []Block
}

// Block is one of Heading, Paragraph, List, Table and Picture.
type Block interface{ block() }

// Heading begins a section.
type Heading struct{ Text string }

// Paragraph is some sentences.
type Paragraph struct{ Text string }

// List is some points.
type List struct{ Items []string }

// Table has a row of headings. Its first column is text, the others numbers.
type Table struct {
	Caption string
	Head    []string
	Rows    [][]string
	Text    bool // all columns are text
}

// Picture is a figure and what to say to who cannot see it.
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
