package site

import (
	"bytes"
	bytecode "encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// notices reports changes of rules files in root directories. It uses one inotify(7)
// instance for all roots that share it, because a user may have only a few.
type notices struct {
	mu      sync.Mutex
	fd      int
	events  *os.File      // of fd; nil: nothing is watched
	read    chan struct{} // closed when readAll has ended
	watches map[int32][]chan<- struct{}
}

// changes are the events of a directory that are watched.
const changes = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_MODIFY | unix.IN_ATTRIB

// watch sends to changed, whose capacity is 1, whenever a rules file in a directory has
// changed, until stop is called. It returns nil if the directory cannot be watched.
func (n *notices) watch(dir int, changed chan<- struct{}) (stop func()) {
	n.mu.Lock()
	err := n.begin()
	var wd int
	if err == nil {
		wd, err = unix.InotifyAddWatch(n.fd, fmt.Sprintf("/proc/self/fd/%d", dir), changes|unix.IN_ONLYDIR)
	}
	if err != nil {
		n.unlock()
		return nil
	}
	at := int32(wd)
	n.watches[at] = append(n.watches[at], changed) // several roots may have the same directory
	n.mu.Unlock()
	return func() { n.unwatch(at, changed) }
}

// begin creates the instance if there is none. It is called with the lock held.
func (n *notices) begin() (err error) {
	if n.events != nil {
		return nil
	}
	if n.fd, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		return err
	}
	n.events, n.read, n.watches = os.NewFile(uintptr(n.fd), "inotify"), make(chan struct{}), make(map[int32][]chan<- struct{})
	go n.readAll(n.events, n.read)
	return nil
}

// unwatch ends a watch.
func (n *notices) unwatch(at int32, changed chan<- struct{}) {
	n.mu.Lock()
	n.watches[at] = slices.DeleteFunc(n.watches[at], func(c chan<- struct{}) bool { return c == changed })
	if len(n.watches[at]) == 0 {
		delete(n.watches, at) // it stays in the kernel: the sandbox forbids inotify_rm_watch(2)
	}
	n.unlock()
}

// unlock unlocks n.mu, and closes the instance if nothing is watched any more.
func (n *notices) unlock() {
	if n.events == nil || len(n.watches) > 0 {
		n.mu.Unlock()
		return
	}
	n.events.Close()
	n.events = nil
	read := n.read
	n.mu.Unlock()
	<-read
}

// readAll passes on events until the instance is closed.
func (n *notices) readAll(events *os.File, read chan<- struct{}) {
	defer close(read)
	buf := make([]byte, 4<<10)
	for {
		size, err := events.Read(buf)
		if err != nil {
			return
		}
		n.tell(buf[:size])
	}
}

// tell wakes the watchers of directories whose rules files have changed, and all watchers if
// the kernel's event queue has overflowed.
func (n *notices) tell(events []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		at, mask, size := int32(bytecode.NativeEndian.Uint32(events)), bytecode.NativeEndian.Uint32(events[4:]), bytecode.NativeEndian.Uint32(events[12:])
		end := min(unix.SizeofInotifyEvent+int(size), len(events))
		name := string(bytes.TrimRight(events[unix.SizeofInotifyEvent:end], "\x00"))
		for wd, all := range n.watches {
			if mask&unix.IN_Q_OVERFLOW != 0 || wd == at && (name == redirectsFile || name == headersFile) {
				wake(all)
			}
		}
		events = events[end:]
	}
}

// wake sends to each channel that is empty.
func wake(all []chan<- struct{}) {
	for _, c := range all {
		select {
		case c <- struct{}{}:
		default: // one is enough
		}
	}
}
