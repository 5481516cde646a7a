package compress

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"phalanx/internal/site"
)

// journalName is the file in the document root that lists the copies made there. Copies that
// are not listed were made by others.
const journalName = site.OwnPrefix + "compressed"

// ErrBusy means that another process is compressing the tree.
var ErrBusy = errors.New("another process is compressing the directory")

// ErrUntrusted means that another user may have written the journal. It is not read then,
// because files that it lists are removed as if compress had made them.
var ErrUntrusted = errors.New("others may have written it")

// mark identifies a state of a file: its size, and its modification time in ns since 1970.
type mark struct{ size, modified int64 }

func markOf(st *unix.Stat_t) mark { return mark{st.Size, st.Mtim.Nano()} }

// journal records the copies made in a tree. Each line is written before the step that it
// describes, so the journal is complete even after a kill.
type journal struct {
	dir  *os.File
	file *os.File // nil: nothing is written

	mu    sync.Mutex        // guards the fields below
	made  map[string][]mark // copies by name, with the states that each may have
	none  map[string]mark   // copies that are not worth it by name, with the state of the file
	begun map[string]bool   // copies that may have left a temporary file
}

// openJournal opens and reads the journal of a tree, and locks it until it is closed, unless
// readOnly is true.
func openJournal(root *site.Root, readOnly bool) (*journal, error) {
	dir, name, err := root.OpenDirectory(journalName)
	if err != nil {
		return nil, err
	}
	j := &journal{dir: dir, made: make(map[string][]mark), none: make(map[string]mark), begun: make(map[string]bool)}
	flags := unix.O_RDWR | unix.O_CREAT | unix.O_APPEND
	if readOnly {
		flags = unix.O_RDONLY
	}
	// O_NONBLOCK, because it could be a FIFO.
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if readOnly && errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		dir.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	if err := trusted(fd); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "read", Path: name, Err: err}, file.Close(), dir.Close())
	}
	if !readOnly && unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil, errors.Join(ErrBusy, file.Close(), dir.Close())
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		j.read(lines.Text())
	}
	if readOnly {
		file.Close()
	} else {
		j.file = file
	}
	return j, lines.Err()
}

// trusted returns why an open journal is not trusted. Anyone who can write to the tree
// may have put it there.
func trusted(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	owned := st.Uid == 0 || int(st.Uid) == os.Geteuid()
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || !owned || st.Mode&0o022 != 0 {
		return ErrUntrusted
	}
	return nil
}

// read reads a line. Invalid lines, such as an incomplete last one, are ignored.
func (j *journal) read(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return
	}
	name, _ := strconv.Unquote(quoted)
	var m mark
	if n, _ := fmt.Sscanf(rest[len(quoted):], " %d %d", &m.size, &m.modified); n != 2 {
		return
	}
	switch verb {
	case "begun":
		j.begun[name] = true
	case "made":
		j.made[name] = append(j.made[name], m)
	case "none":
		j.none[name] = m
		delete(j.begun, name)
	case "done":
		delete(j.begun, name)
	}
}

// write appends a line and applies it.
func (j *journal) write(verb, name string, m mark) error {
	line := fmt.Sprintf("%s %q %d %d", verb, name, m.size, m.modified)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		if _, err := j.file.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	j.read(line)
	return nil
}

// has reports whether the journal lists a copy in this state.
func (j *journal) has(name string, st *unix.Stat_t) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.made[name], markOf(st))
}

// notWorth reports whether the journal lists a copy of a file in this state as not worth it.
func (j *journal) notWorth(name string, of *unix.Stat_t) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	m, known := j.none[name]
	return known && m == markOf(of)
}

// close replaces the journal by a compacted one, with the copies for which keep is true, and
// unlocks it. After an error the old journal is left, which is complete.
func (j *journal) close(keep func(name string) bool) error {
	defer j.dir.Close()
	if j.file == nil {
		return nil
	}
	defer j.file.Close()
	var b strings.Builder
	for name, marks := range j.made {
		if m := marks[len(marks)-1]; keep(name) {
			fmt.Fprintf(&b, "made %q %d %d\n", name, m.size, m.modified)
		}
	}
	for name, m := range j.none {
		if keep(name) {
			fmt.Fprintf(&b, "none %q %d %d\n", name, m.size, m.modified)
		}
	}
	for name := range j.begun {
		fmt.Fprintf(&b, "begun %q 0 0\n", name)
	}
	const next = journalName + ".new"
	dir := int(j.dir.Fd())
	f, err := recreate(dir, next)
	if err != nil {
		return err
	}
	_, err = f.WriteString(b.String())
	return settle(dir, next, journalName, errors.Join(err, f.Close()))
}
