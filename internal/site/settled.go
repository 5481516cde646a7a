package site

import (
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// coarsest is the largest step in which a file system keeps times (FAT: two
// seconds), and room for the clock of another machine that is a little behind.
const coarsest = 2 * time.Second

// settled reports whether any change of the file from now on gives it a modification time other than
// at. Until then its time and size prove nothing: it could be written again and look the same.
//
// The kernel stamps files with its coarse clock, which moves by a tick of 1 to
// 10 ms and can be asked. A time before what it shows cannot come again, where
// the time is this kernel's and kept to the nanosecond. Where it is not, that
// is so when the time is old enough for every file system.
func (r *Root) settled(fd int, at proto.Time) bool {
	if longAgo(at, r.Now()) {
		return true
	}
	// A time without a fraction may be one that is kept in whole seconds.
	if at.Nsec == 0 || !keepsNanoseconds(fd) {
		return false
	}
	var coarse unix.Timespec
	return unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &coarse) == nil && at.Before(timeOf(coarse))
}

// keepsNanoseconds reports whether the file lies in a file system that takes
// its times from this kernel's clock and keeps them as they are (but for the
// ext4 of small inodes and its forerunners, which keep no fraction). All others
// may count in larger steps, or have the clock of another machine.
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

// longAgo reports whether a time is so old that a change now has another time in every file system.
func longAgo(at proto.Time, now time.Time) bool {
	t := now.Add(-coarsest)
	return at.Before(proto.Time{Sec: t.Unix(), Nsec: int64(t.Nanosecond())})
}
