package top

import "charm.land/lipgloss/v2"

// column is a column of a table whose rows are of type R.
type column[R any] struct {
	name  string
	width int  // cells; the minimum if flex
	rank  int  // columns with the highest rank are left out first
	left  bool // aligned to the left, as text is; numbers are aligned to the right
	flex  bool // takes the remaining width
	cell  func(row R, width int) string
	order func(a, b R) int // for sorting; nil: the table cannot be sorted by it
	paint func(t theme, row R) lipgloss.Style
}

// layout is the columns that fit into a width.
type layout[R any] struct {
	columns []column[R]
	gap     int // cells before each column
}

// fit chooses the columns for a width by rank, after the column with the name sorted,
// which takes precedence. The order of the columns does not change.
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

// head returns the line of column names, with an arrow before the column sorted by.
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

// row returns the line of one row; the selected one is marked and in reverse video.
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

// orderOf returns the order of the named column. A column without an order leaves the rows
// as they are.
func orderOf[R any](columns []column[R], by string, reversed bool) func(a, b R) int {
	for _, c := range columns {
		if c.name == by && c.order != nil {
			return ordered(c.order, reversed)
		}
	}
	return func(R, R) int { return 0 }
}

// ordered returns order, reversed if wanted.
func ordered[R any](order func(a, b R) int, reversed bool) func(a, b R) int {
	if reversed {
		return func(a, b R) int { return order(b, a) }
	}
	return order
}

// rows returns the lines of as many rows around the cursor as there is room for.
func (l layout[R]) rows(t theme, width int, all []R, c *cursor, room int) (lines []string) {
	from, to := c.window(len(all), room)
	for i := from; i < to; i++ {
		lines = append(lines, l.row(t, width, all[i], i == c.at))
	}
	return lines
}

// pick returns a if yes is true, and otherwise b.
func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// cursor has the index of the selected row and of the first visible one.
type cursor struct{ at, top int }

func (c *cursor) move(by, rows int) {
	c.at = max(0, min(c.at+by, rows-1))
}

// window returns the range of rows that is visible with the given room.
func (c *cursor) window(rows, room int) (from, to int) {
	c.at = max(0, min(c.at, rows-1))
	c.top = max(0, min(c.top, c.at, rows-room))
	if c.at >= c.top+room {
		c.top = c.at - room + 1
	}
	return c.top, min(rows, c.top+room)
}
