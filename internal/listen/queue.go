package listen

import "golang.org/x/sys/unix"

// queue is [Set.Queue] for one address. (tcp(7): of a listening socket, tcpi_unacked is
// the length of its accept queue and tcpi_sacked its backlog.)
func (s *sockets) queue(slot int) (waiting, most int) {
	if slot < 0 || slot >= len(s.files) || s.files[slot] == nil {
		return 0, 0
	}
	if s.Path != "" {
		if slot == 0 {
			waiting, most, _ = unixQueue(s.files[0]) // zero if unknown
		}
		return waiting, most
	}
	raw, err := s.files[slot].SyscallConn()
	if err != nil {
		return 0, 0
	}
	_ = raw.Control(func(fd uintptr) { // fails for a closed file
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			waiting, most = int(info.Unacked), int(info.Sacked)
		}
	})
	return waiting, most
}
