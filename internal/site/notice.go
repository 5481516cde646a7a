package site

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// notices reports changes in root directories, where the rules files are. It uses one inotify(7)
// instance for all roots that share it, because a user may have only a few; a change in one
// directory makes all of them look at their files.
type notices struct {
	mu       sync.Mutex
	fd       int
	events   *os.File      // of fd; nil: nothing is watched
	read     chan struct{} // closed when readAll has ended
	watchers []chan<- struct{}
}

// changes are the events of a directory that are watched.
const changes = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_MODIFY | unix.IN_ATTRIB

// watch sends to changed, whose capacity is 1, whenever a file in a directory has changed, and
// perhaps at other times, until stop is called. It returns nil if the directory cannot be watched.
func (n *notices) watch(dir int, changed chan<- struct{}) (stop func()) {
	n.mu.Lock()
	defer n.unlock()
	if n.begin() != nil {
		return nil
	}
	if _, err := unix.InotifyAddWatch(n.fd, fmt.Sprintf("/proc/self/fd/%d", dir), changes|unix.IN_ONLYDIR); err != nil {
		return nil
	}
	n.watchers = append(n.watchers, changed)
	return func() {
		n.mu.Lock()
		defer n.unlock()
		// The directory stays in the instance: the sandbox forbids inotify_rm_watch(2).
		n.watchers = slices.DeleteFunc(n.watchers, func(c chan<- struct{}) bool { return c == changed })
	}
}

// begin creates the instance if there is none. It is called with the lock held.
func (n *notices) begin() (err error) {
	if n.events != nil {
		return nil
	}
	if n.fd, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		return err
	}
	n.events, n.read = os.NewFile(uintptr(n.fd), "inotify"), make(chan struct{})
	go n.readAll(n.events, n.read)
	return nil
}

// unlock unlocks n.mu, and closes the instance if nothing is watched any more.
func (n *notices) unlock() {
	if n.events == nil || len(n.watchers) > 0 {
		n.mu.Unlock()
		return
	}
	n.events.Close()
	n.events = nil
	read := n.read
	n.mu.Unlock()
	<-read
}

// readAll wakes the watchers at each event until the instance is closed.
func (n *notices) readAll(events *os.File, read chan<- struct{}) {
	defer close(read)
	buf := make([]byte, 4<<10)
	for {
		if _, err := events.Read(buf); err != nil {
			return
		}
		n.mu.Lock()
		for _, c := range n.watchers {
			select {
			case c <- struct{}{}:
			default: // one is enough
			}
		}
		n.mu.Unlock()
	}
}
