package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	mostFiles  = 65536
	mostEvents = 512
	headEnd    = 0x0d0a0d0a // CR LF CR LF
)

// worker is one epoll loop. Its raw system calls bypass Go's scheduler, which has nothing
// else to run in this process.
type worker struct {
	epoll, listener int
	reply           []byte
	closing         bool
	in              [4096]byte
	last            []uint32 // by descriptor: the last four bytes received
}

// work serves file on the inherited listener until the loop itself fails.
func work(file string, closing bool) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n", len(page))
	if closing {
		head += "Connection: close\r\n"
	}
	w := &worker{listener: inherited, reply: append([]byte(head+"\r\n"), page...), closing: closing, last: make([]uint32, mostFiles)}
	if err := unix.SetNonblock(w.listener, true); err != nil {
		return err
	}
	if w.epoll, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	if !w.add(w.listener) {
		return fmt.Errorf("add the listener to epoll")
	}
	runtime.LockOSThread()
	return w.loop()
}

func (w *worker) loop() error {
	var events [mostEvents]unix.EpollEvent
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll), uintptr(unsafe.Pointer(&events)), mostEvents, ^uintptr(0), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("epoll_pwait: %w", errno)
		}
		for _, e := range events[:n] {
			if int(e.Fd) == w.listener {
				w.accept()
			} else if !w.answer(int(e.Fd)) {
				shut(int(e.Fd))
			}
		}
	}
}

func (w *worker) accept() {
	for {
		fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(w.listener), 0, 0, syscall.SOCK_NONBLOCK, 0, 0)
		if errno != 0 {
			return
		}
		if fd >= mostFiles || !w.answer(int(fd)) || !w.add(int(fd)) {
			shut(int(fd))
		}
	}
}

// answer reads once and responds at the end of a request head. It reports whether the
// connection stays open, which it does not if the socket takes only part of a response.
func (w *worker) answer(fd int) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&w.in)), uintptr(len(w.in)), 0, 0, 0)
	if errno != 0 {
		return errno == unix.EAGAIN || errno == unix.EINTR
	}
	if n == 0 {
		return false
	}
	for _, b := range w.in[max(0, int(n)-4):n] {
		w.last[fd] = w.last[fd]<<8 | uint32(b)
	}
	if w.last[fd] != headEnd {
		return true
	}
	w.last[fd] = 0
	how := uintptr(unix.MSG_NOSIGNAL)
	if w.closing {
		how |= unix.MSG_MORE // the FIN goes out with the last segment
	}
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&w.reply[0])), uintptr(len(w.reply)), how, 0, 0)
	return errno == 0 && int(sent) == len(w.reply) && !w.closing
}

func (w *worker) add(fd int) bool {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(w.epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	return errno == 0
}

func shut(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }
