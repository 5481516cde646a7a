package site

import (
	"bytes"
	bytecode "encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// rulesEvery is how often files of rules are looked at while they change, or where the
// kernel does not tell that they do. A change is taken when it has not gone on for that
// long: whoever writes a file in pieces is not read halfway.
const rulesEvery = 250 * time.Millisecond

// WatchRules takes files of rules anew when they have changed, and tells what came of it:
// nil, or why the rules before stay. It is called after [Root.ReadRules]; stop ends it.
func (r *Root) WatchRules(tell func(error)) (stop func()) {
	if !r.policy.Rules || r.shares != nil {
		return func() {}
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	events, changed := r.watchDirectory(), make(chan struct{}, 1) // one is as good as many
	if events != nil {
		running.Go(func() { tellChanges(events, changed) })
	}
	running.Go(func() { r.followRules(events != nil, changed, done, tell) })
	return func() {
		close(done)
		if events != nil {
			events.Close()
		}
		running.Wait()
	}
}

// followRules reads the files when they have changed, until done is closed. While changed
// will say that they do, nothing is done.
func (r *Root) followRules(told bool, changed, done <-chan struct{}, tell func(error)) {
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for last := r.ruleFiles.seen; ; {
		now := r.ruleStamps()
		switch {
		case now == last && now != r.ruleFiles.seen:
			err := r.readRules(now)
			if errors.Is(err, errChanging) {
				r.ruleFiles.seen = [2]stamp{} // once more
				break
			}
			tell(err)
		case now == last && told && r.rulesAreHere():
			tick.Stop()
			select {
			case <-done:
				return
			case <-changed:
			}
			tick.Reset(rulesEvery)
		}
		last = now
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// rulesAreHere reports whether no file of rules can change without a change in the root
// directory: each is a file of it alone, or missing.
func (r *Root) rulesAreHere() bool {
	var dir, st unix.Stat_t
	if fstat(r.dir, &dir) != nil {
		return false
	}
	for _, name := range [2]string{redirectsFile, headersFile} {
		switch err := unix.Fstatat(r.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
		case err == unix.ENOENT:
		case err != nil, st.Mode&unix.S_IFMT != unix.S_IFREG, st.Nlink != 1, st.Dev != dir.Dev:
			return false
		}
	}
	return true
}

// watchDirectory makes the kernel tell of changes in the root directory (inotify(7)); nil
// where it cannot, as on a network, or may not, as in the sandbox.
func (r *Root) watchDirectory() *os.File {
	if r.later || !keepsNanoseconds(r.dir) { // it is another kernel's, or may be
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil
	}
	const changes = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_MODIFY | unix.IN_ATTRIB
	if _, err := unix.InotifyAddWatch(fd, fmt.Sprintf("/proc/self/fd/%d", r.dir), changes|unix.IN_ONLYDIR); err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "inotify")
}

// tellChanges passes on that a file of rules has changed, until events are closed.
func tellChanges(events *os.File, changed chan<- struct{}) {
	buf := make([]byte, 4<<10)
	for {
		n, err := events.Read(buf)
		if err != nil {
			return
		}
		if !namesRules(buf[:n]) {
			continue
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// namesRules reports whether one of the events is about a file of rules, or about what is
// not known because there were too many.
func namesRules(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		mask, size := bytecode.NativeEndian.Uint32(events[4:]), bytecode.NativeEndian.Uint32(events[12:])
		end := min(unix.SizeofInotifyEvent+int(size), len(events))
		name := string(bytes.TrimRight(events[unix.SizeofInotifyEvent:end], "\x00"))
		if mask&unix.IN_Q_OVERFLOW != 0 || name == redirectsFile || name == headersFile {
			return true
		}
		events = events[end:]
	}
	return false
}
