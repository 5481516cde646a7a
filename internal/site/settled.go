package site

import (
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// coarsest is the coarsest granularity of file times (FAT: two seconds). It also allows for a
// file server whose clock is a little behind.
const coarsest = 2 * time.Second

// settled reports whether any change of the file from now on gives it a modification time other
// than at. Before that, time and size do not identify its content: it could be written again with
// the same time and size.
//
// The kernel takes file times from its coarse clock, which advances by a tick of 1 to 10 ms and
// can be read. On a file system that uses this kernel's clock and keeps nanoseconds, a time before
// the current value of that clock cannot occur again. On others, a time must be older than the
// coarsest granularity.
func (r *Root) settled(fd int, at proto.Time) bool {
	if longAgo(at, r.Now()) {
		return true
	}
	// A time without a fraction may come from a file system that keeps whole seconds.
	if at.Nsec == 0 || !keepsNanoseconds(fd) {
		return false
	}
	var coarse unix.Timespec
	return unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &coarse) == nil && at.Before(timeOf(coarse))
}

// keepsNanoseconds reports whether the file is on a file system that takes its times from this
// kernel's clock and keeps nanoseconds (except ext4 with small inodes, ext2 and ext3, which keep
// whole seconds). Others may have a coarser granularity or the clock of another machine.
func keepsNanoseconds(fd int) bool {
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) != nil {
		return false
	}
	switch uint32(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
		unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC:
		return true
	}
	return false
}

// longAgo reports whether a time is so old that a change now has another time on every file system.
func longAgo(at proto.Time, now time.Time) bool {
	t := now.Add(-coarsest)
	return at.Before(proto.Time{Sec: t.Unix(), Nsec: int64(t.Nanosecond())})
}
