package site

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// walk puts all that is served of a directory into an archive: files and directories
// that are not hidden, and what symbolic links lead to beneath the root. What cannot be
// read is left out, as it would be refused. A directory is there once, however many
// links lead to it, so that no circle has no end.
type walk struct {
	root   *Root
	access *proto.Access // what needs more is left out
	to     packer
	todo   []directory // still to be walked, the last first
	links  []directory // symbolic links to directories: last of all
	seen   map[inode]struct{}
	cost   int64 // bytes of the root's budget
}

// directory is one by its clean name, with a slash at its end, and by its name in the
// archive.
type directory struct{ name, as string }

type inode struct{ dev, ino uint64 }

// errMany is why an archive ends early: a zip needs memory for each file, every format
// for each directory.
var errMany = errors.New("too many files for an archive; download a part of them, or another format")

// pack makes the archive.
func (a *Archive) pack() error {
	w := walk{
		root: a.root, access: &a.access, to: newPacker(a.format, a.spool), seen: make(map[inode]struct{}),
		todo: []directory{{a.dir, a.name + "/"}},
	}
	return w.all()
}

// all walks to the end.
func (w *walk) all() error {
	defer func() { w.root.listings.give(w.cost) }()
	for {
		for len(w.todo) > 0 {
			last := len(w.todo) - 1
			d := w.todo[last]
			w.todo = w.todo[:last]
			if err := w.directory(d); err != nil {
				return err
			}
		}
		if len(w.links) == 0 {
			return w.to.close()
		}
		w.todo, w.links = w.links, nil
	}
}

// charge counts memory that is held until the archive is complete.
func (w *walk) charge(bytes int) error {
	w.cost += int64(bytes)
	if !w.root.listings.take(int64(bytes)) {
		return errMany
	}
	return nil
}

// directory puts one directory into the archive, and remembers those in it.
func (w *walk) directory(d directory) error {
	var st unix.Stat_t
	dir, err := w.root.directory(padded(d.name), w.access)
	switch {
	case err != nil:
		return nil
	case dir == nil:
		return w.shares(d)
	}
	defer dir.Close()
	if fstat(int(dir.Fd()), &st) != nil {
		return nil
	}
	id := inode{uint64(st.Dev), st.Ino}
	if _, seen := w.seen[id]; seen {
		return nil
	}
	w.seen[id] = struct{}{}
	if err := w.charge(4*int(unsafe.Sizeof(id)) + w.perEntry(d.as)); err != nil {
		return err
	}
	if err := w.to.directory(d.as, &st); err != nil {
		return err
	}
	for {
		names, err := dir.Readdirnames(batch)
		for _, name := range names {
			if err := w.entry(int(dir.Fd()), d, name); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // the last, or it cannot be read further
		}
	}
}

// shares puts the shares of a root of shares into the archive.
func (w *walk) shares(d directory) error {
	for _, s := range w.root.shares {
		var st unix.Stat_t
		if w.root.stat(padded(s.name), &st) != nil {
			continue
		}
		if err := w.add(d, s.name, &st, false); err != nil {
			return err
		}
	}
	return nil
}

// entry looks at a name in a directory that is open.
func (w *walk) entry(dir int, d directory, name string) error {
	var st unix.Stat_t
	if w.root.hides([]byte(name)) || d.name == "" && w.root.isRules([]byte(name)) || unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return nil
	}
	link := st.Mode&unix.S_IFMT == unix.S_IFLNK
	if link && w.root.stat(padded(d.name+name), &st) != nil {
		return nil
	}
	return w.add(d, name, &st, link)
}

// add adds a file, or remembers a directory.
func (w *walk) add(d directory, name string, st *unix.Stat_t, link bool) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return w.file(d.name+name, d.as+name)
	case unix.S_IFDIR:
		sub := directory{d.name + name + "/", d.as + name + "/"}
		if link {
			w.links = append(w.links, sub)
		} else {
			w.todo = append(w.todo, sub)
		}
		return w.charge(2*int(unsafe.Sizeof(sub)) + len(sub.name) + len(sub.as))
	}
	return nil
}

func (w *walk) file(name, as string) error {
	fd, err := w.root.enter(padded(name), w.access)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if err := w.charge(w.perEntry(as)); err != nil {
		return err
	}
	return w.to.file(as, &st, &content{fd: fd})
}

// perEntry is what an entry of a zip holds until its end, where all are listed.
func (w *walk) perEntry(as string) int {
	if _, zip := w.to.(zipPacker); !zip {
		return 0
	}
	const header = 512
	return header + len(as)
}

// padded is a name with room for what a system call needs behind it.
func padded(name string) []byte { return append(make([]byte, 0, len(name)+2), name...) }
