package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// roleKey makes the test binary act as a worker.
const roleKey = "PHALANX_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleKey) {
	case "":
		os.Exit(m.Run())
	case "worker":
		os.Exit(actWorker())
	case "facts":
		os.Exit(actFacts())
	case "panic":
		panic("out of luck")
	case "parent":
		os.Exit(actParent(nil))
	case "keeper":
		os.Exit(actParent(&syscall.SysProcAttr{Setpgid: true}))
	}
}

// actWorker reports ready and responds to each connection with its slot and pid, until
// SIGINT or the end of the channel. Then it waits for its clients.
func actWorker() int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT)
	l, listenErr := net.FileListener(os.NewFile(ipc.ListenFD, "socket"))
	c, err := ipc.Open(ipc.ControlFD)
	if err == nil {
		err = c.Send(ipc.Ready{PID: os.Getpid(), Version: "1"})
	}
	if err := errors.Join(listenErr, err); err != nil {
		panic(err)
	}
	granted, ended := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			if _, err := c.Receive(); err != nil {
				os.Exit(0)
			}
			close(granted)
		}
	}()
	var clients sync.WaitGroup
	clients.Go(func() {
		select {
		case <-granted:
			answer(l, &clients)
		case <-ended:
		}
	})
	<-stop
	close(ended)
	l.Close()
	c.Send(ipc.Draining{})
	clients.Wait()
	return 0
}

// answer responds to each client after its first byte: it closes the connection after an
// 'x', and otherwise waits until the client does.
func answer(l net.Listener, clients *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		want := make([]byte, 1)
		c.Read(want)
		fmt.Fprintf(c, "%s %d\n", os.Args[1], os.Getpid())
		if want[0] == 'x' {
			c.Close()
			continue
		}
		clients.Go(func() {
			c.Read(want)
			c.Close()
		})
	}
}

// actFacts reports the arguments and descriptors that the process got, and its group.
func actFacts() int {
	c, err := ipc.Open(ipc.ControlFD)
	if err != nil {
		panic(err)
	}
	status, _ := unix.FcntlInt(ipc.ListenFD, unix.F_GETFL, 0)
	_, stdin := os.Stdin.Read(make([]byte, 1))
	pgid, _ := syscall.Getpgid(0)
	fmt.Fprintf(os.NewFile(ipc.LogFD, "log"), `{"level":"info","slot":0,"pid":%d,"message":"a log line"}`+"\n", os.Getpid())
	fmt.Println("to standard output")
	fmt.Fprintln(os.Stderr, "to standard error")
	c.Send(ipc.Failed{ExitCode: 5, Reason: fmt.Sprintf("args %q nonblock %v stdin %v leader %v inherited %v",
		os.Args[1:], status&unix.O_NONBLOCK != 0, stdin, pgid == os.Getpid(), inheritedFDs())})
	return 5
}

// inheritedFDs lists the descriptors that are not close-on-exec: the process did not open
// these itself.
func inheritedFDs() []int {
	var fds []int
	for fd := range 64 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 || fd == ipc.ControlFD {
			fds = append(fds, fd)
		}
	}
	return fds
}

// actParent leaves a child behind that holds every descriptor.
func actParent(sys *syscall.SysProcAttr) int {
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{
		Sys:   sys,
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, nil, os.NewFile(ipc.ControlFD, "c")},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Pid)
	return 6
}
