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
func (l layout[R]) head(t theme, width int, s *sheet[R]) string {
	w := line{left: width}
	for _, c := range l.columns {
		mark := " "
		if c.name == s.by {
			mark = pick(s.reversed, "▲", "▼")
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

// rows returns the lines of as many rows around the cursor as there is room for.
func (l layout[R]) rows(t theme, width int, s *sheet[R], room int) (lines []string) {
	from, to := s.cursor.window(len(s.rows), room)
	for i := from; i < to; i++ {
		lines = append(lines, l.row(t, width, s.rows[i], i == s.cursor.at))
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
