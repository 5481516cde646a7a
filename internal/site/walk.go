package site

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// walk adds everything in a directory that is served to an archive: files and directories
// that are not hidden, and the targets of symbolic links that are followed. Files that cannot
// be read are left out, since they are not served either. A directory is added once, however
// many links lead to it, so that cycles end.
type walk struct {
	root   *Root
	access *proto.Access // files that need more are left out
	to     packer
	todo   []directory // a stack of directories to walk
	links  []directory // symbolic links to directories, walked after todo
	seen   map[inode]struct{}
	cost   int64 // bytes of the root's budget
}

// directory has the clean name of a directory, with a trailing slash, and its name in the
// archive.
type directory struct{ name, as string }

type inode struct{ dev, ino uint64 }

// errMany ends an archive that needs too much memory: for each file in a zip, and for each
// directory in all formats.
var errMany = errors.New("too many files for an archive; download a subdirectory, or use another format")

// pack makes the archive.
func (a *Archive) pack() error {
	w := walk{
		root: a.root, access: &a.access, to: newPacker(a.format, a.spool), seen: make(map[inode]struct{}),
		todo: []directory{{a.dir, a.name + "/"}},
	}
	return w.all()
}

// all walks all directories and completes the archive.
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

// directory adds one directory to the archive, and pushes its subdirectories.
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

// shares adds the shares of a root of shares to the archive.
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

// entry adds a name in an open directory, if it is served.
func (w *walk) entry(dir int, d directory, name string) error {
	var st unix.Stat_t
	if w.root.hides([]byte(name)) || w.root.isRules([]byte(d.name+name)) || unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return nil
	}
	link := st.Mode&unix.S_IFMT == unix.S_IFLNK
	if link && w.root.stat(padded(d.name+name), &st) != nil {
		return nil
	}
	return w.add(d, name, &st, link)
}

// add adds a file to the archive, or pushes a directory.
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

// perEntry returns the memory in bytes that an entry takes until the archive is complete: a
// zip lists all entries at its end.
func (w *walk) perEntry(as string) int {
	if _, zip := w.to.(zipPacker); !zip {
		return 0
	}
	const header = 512
	return header + len(as)
}

// padded returns a name with spare capacity for a trailing slash and a NUL.
func padded(name string) []byte { return append(make([]byte, 0, len(name)+2), name...) }
