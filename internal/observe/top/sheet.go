package top

import "slices"

// sheet is a table whose rows the user sorts and moves through.
type sheet[R any] struct {
	rows     []R
	by       string // name of the column sorted by
	reversed bool
	cursor   cursor
	// alike says how much two rows have in common; 0: they are not about the same thing. The cursor
	// stays with its row.
	alike func(a, b R) int
}

// fill replaces the rows and sorts them; columns are all that the table can be sorted by.
func (s *sheet[R]) fill(rows []R, columns []column[R]) {
	var before []R
	if s.cursor.at < len(s.rows) {
		before = []R{s.rows[s.cursor.at]}
	}
	s.rows = rows
	for _, c := range columns {
		if c.name == s.by && c.order != nil {
			slices.SortStableFunc(rows, func(a, b R) int {
				if s.reversed {
					a, b = b, a
				}
				return c.order(a, b)
			})
		}
	}
	most := 0
	for _, old := range before {
		for i, r := range rows {
			if n := s.alike(old, r); n > most {
				s.cursor.at, most = i, n
			}
		}
	}
	s.cursor.move(0, len(rows))
}

// press handles a key, with the columns in the window and the number of rows of a page. It returns
// true if the rows must be sorted again.
func (s *sheet[R]) press(key string, visible layout[R], page int) (resort bool) {
	switch key {
	case "s", ">", ".":
		s.by = visible.next(s.by, 1)
	case "S", "<", ",":
		s.by = visible.next(s.by, -1)
	case "r":
		s.reversed = !s.reversed
	default:
		s.cursor.press(key, max(1, page), len(s.rows))
		return false
	}
	return true
}

// next returns the name of the column that is step columns to the right of the named one, among those
// that the table can be sorted by, and wraps around.
func (l layout[R]) next(name string, step int) string {
	columns := slices.DeleteFunc(slices.Clone(l.columns), func(c column[R]) bool { return c.order == nil })
	n := len(columns)
	if n == 0 {
		return name
	}
	at := slices.IndexFunc(columns, func(c column[R]) bool { return c.name == name })
	return columns[(max(0, at)+step+n)%n].name
}

// cursor has the index of the selected row and of the first visible one.
type cursor struct{ at, top int }

// press moves the cursor within the given number of rows, if key is a movement.
func (c *cursor) press(key string, page, rows int) {
	switch key {
	case "up", "k":
		c.move(-1, rows)
	case "down", "j":
		c.move(1, rows)
	case "pgup", "ctrl+b", "b":
		c.move(-page, rows)
	case "pgdown", "ctrl+f", "f":
		c.move(page, rows)
	case "home", "g":
		c.move(-rows, rows)
	case "end", "G":
		c.move(rows, rows)
	}
}

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
