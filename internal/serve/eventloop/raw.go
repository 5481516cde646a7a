package eventloop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the event loop are raw: Go's scheduler is not told that the thread may
// block. That saves its bookkeeping and, what costs more, waking other threads that could
// take over. Raw calls may be used only where they return at once: on non-blocking sockets,
// and on files whose pages are in memory.

func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

func rawSend(fd int, p []byte, flags int) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), uintptr(flags|unix.MSG_NOSIGNAL), 0, 0)
	return int(n), errno
}

func rawSendfile(out, in int, off, n int64) (int, syscall.Errno) {
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDFILE, uintptr(out), uintptr(in), uintptr(unsafe.Pointer(&off)),
		uintptr(n), 0, 0)
	return int(sent), errno
}

// rawAcceptFrom accepts a connection, and stores the address of its client.
func rawAcceptFrom(fd int, from *unix.RawSockaddrAny) (int, syscall.Errno) {
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// rawAccept accepts a connection without asking for its address.
func rawAccept(fd int) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

func rawClose(fd int) {
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

func rawShutdown(fd int) {
	unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// rawEpollWait waits for at most ms milliseconds, or without end if ms is
// negative. It uses epoll_pwait, which every architecture has.
func rawEpollWait(fd int, events []unix.EpollEvent, ms int) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), uintptr(ms), 0, 0)
	return int(n), errno
}

func rawEpoll(epoll, how, fd int, events uint32) syscall.Errno {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(how), uintptr(fd),
		uintptr(unsafe.Pointer(&event)), 0, 0)
	return errno
}

func rawEpollAdd(epoll, fd int, events uint32) syscall.Errno {
	return rawEpoll(epoll, unix.EPOLL_CTL_ADD, fd, events)
}
