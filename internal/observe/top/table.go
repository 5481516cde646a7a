package top

import "charm.land/lipgloss/v2"

// column is one of a table of R. Rank says how long it is kept when there is
// little room, 0 for longest. The one that is flex takes what is left.
type column[R any] struct {
	name  string
	width int // cells, at least
	rank  int
	left  bool // aligned, text; numbers are at the right
	flex  bool
	cell  func(row R, width int) string
	order func(a, b R) int // what comes first; nil: the table cannot be sorted by it
	paint func(t theme, row R) lipgloss.Style
}

// layout is the columns that a width has room for.
type layout[R any] struct {
	columns []column[R]
	gap     int // cells before each column
}

// fit chooses columns for a width: by rank, the one that is sorted by (its
// name) before all. Whatever is chosen stays in its place.
func fit[R any](all []column[R], width int, sorted string) layout[R] {
	used, chosen := 0, make([]bool, len(all))
	for {
		best := -1
		for i, c := range all {
			if chosen[i] || used+1+c.width > width {
				continue
			}
			if best < 0 || c.rank < all[best].rank || c.name == sorted {
				best = i
				if c.name == sorted {
					break
				}
			}
		}
		if best < 0 {
			break
		}
		chosen[best], used = true, used+1+all[best].width
	}
	out := layout[R]{gap: 1}
	flex := -1
	for i, c := range all {
		if chosen[i] {
			if c.flex {
				flex = len(out.columns)
			}
			out.columns = append(out.columns, c)
		}
	}
	spare := width - used
	if n := len(out.columns); n > 0 && spare >= n && (flex < 0 || spare >= 2*n) {
		out.gap, spare = 2, spare-n
	}
	if flex >= 0 {
		out.columns[flex].width += spare
	}
	return out
}

// head writes the names of the columns, with a mark before the one that the
// rows are sorted by.
func (l layout[R]) head(t theme, width int, sorted string, reversed bool) string {
	w := line{left: width}
	for _, c := range l.columns {
		mark := " "
		if c.name == sorted {
			mark = "▼"
			if reversed {
				mark = "▲"
			}
		}
		w.put(t.head, pad("", l.gap-1, true))
		name := pad(c.name, c.width, c.left)
		if mark != " " && !c.left { // the mark belongs to the name
			name = pad(mark+c.name, c.width+1, false)
			mark = ""
		}
		w.put(t.head, mark+name)
	}
	return w.full(t.head)
}

// row writes one row; the selected one is marked and in reverse.
func (l layout[R]) row(t theme, width int, row R, selected bool) string {
	w := line{left: width}
	for i, c := range l.columns {
		style := t.plain
		if c.paint != nil {
			style = c.paint(t, row)
		}
		if selected {
			style = t.selected
		}
		gap := pad("", l.gap, true)
		if selected && i == 0 {
			gap = pad("▶", l.gap, true)
		}
		w.put(pick(selected, t.selected, t.plain), gap)
		w.put(style, pad(c.cell(row, c.width), c.width, c.left))
	}
	return w.full(pick(selected, t.selected, t.plain))
}

// orderOf returns the order of a column. A column without one does not reorder rows.
func orderOf[R any](columns []column[R], by string, reversed bool) func(a, b R) int {
	for _, c := range columns {
		if c.name == by && c.order != nil {
			return turned(c.order, reversed)
		}
	}
	return func(R, R) int { return 0 }
}

func turned[R any](order func(a, b R) int, reversed bool) func(a, b R) int {
	if reversed {
		return func(a, b R) int { return order(b, a) }
	}
	return order
}

// rows writes as many rows around the cursor as there is room for.
func (l layout[R]) rows(t theme, width int, all []R, c *cursor, room int) (lines []string) {
	from, to := c.window(len(all), room)
	for i := from; i < to; i++ {
		lines = append(lines, l.row(t, width, all[i], i == c.at))
	}
	return lines
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// cursor is which row is selected and which is the first that is seen.
type cursor struct{ at, top int }

func (c *cursor) move(by, rows int) {
	c.at = max(0, min(c.at+by, rows-1))
}

// window is the range of rows that is seen when there is room for so many.
func (c *cursor) window(rows, room int) (from, to int) {
	c.at = max(0, min(c.at, rows-1))
	c.top = max(0, min(c.top, c.at, rows-room))
	if c.at >= c.top+room {
		c.top = c.at - room + 1
	}
	return c.top, min(rows, c.top+room)
}
