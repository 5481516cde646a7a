package proctree

import (
	"fmt"
	"math"
	"testing"
	"testing/fstest"
)

// machine is a /proc with a master (10) and its workers (11, 12), and
// another process whose name looks like fields.
func machine() Reader {
	files := fstest.MapFS{"stat": {Data: []byte("cpu  100 20 30 9999 5 6 7 8 0 0\ncpu0 1 2 3\n")}}
	add := func(pid, parent, utime int, name string, threads ...string) {
		files[fmt.Sprintf("%d/stat", pid)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"%d (%s) S %d 1 1 0 -1 4194560 0 0 0 0 %d 50 7 3 20 0 4 0 0", pid, name, parent, utime)}
		files[fmt.Sprintf("%d/smaps_rollup", pid)] = &fstest.MapFile{Data: []byte(
			"00400000-7fff [rollup]\nRss:  9000 kB\nPss:  100 kB\nPss_Anon:  50 kB\n")}
		for i, t := range threads {
			files[fmt.Sprintf("%d/task/%d/status", pid, pid+100*i)] = &fstest.MapFile{Data: []byte(t)}
		}
		files[fmt.Sprintf("%d/task/%d/schedstat", pid, pid)] = &fstest.MapFile{Data: []byte("1700000000 5 6\n")}
		for i := range pid - 9 {
			files[fmt.Sprintf("%d/fd/%d", pid, i)] = &fstest.MapFile{}
		}
	}
	const status = "Name:\tx\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n"
	add(10, 1, 0, "master", status)
	add(11, 10, 100, "worker", status, status)
	add(12, 10, 200, "worker", status)
	add(13, 1, 5000, "a) S 10 (", status)
	return Reader{Proc: files, Link: func(name string) (string, error) {
		if name[len(name)-1] == '0' {
			return "/dev/null", nil
		}
		return "socket:[1]", nil
	}}
}

func TestTree(t *testing.T) {
	r := machine()
	u, err := r.Tree(10)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Processes) != 3 || u.Processes[0].PID != 10 || u.Processes[2].PID != 12 {
		t.Fatalf("got %+v, want 10, 11 and 12", u.Processes)
	}
	if got := u.CPU(); math.Abs(got-6.2) > 1e-9 { // 1.7, 1.7 and 2.5 s, and 10 ticks of reaped children each
		t.Errorf("CPU time = %v s", got)
	}
	if v, i := u.Switches(); v != 20 || i != 8 {
		t.Errorf("%v voluntary, %v involuntary switches, want 20 and 8", v, i)
	}
	if got := r.PSS(u); got != 300<<10 {
		t.Errorf("PSS = %d", got)
	}
	r.CountSockets(u)
	if got := u.Processes[2].Sockets; got != 2 {
		t.Errorf("worker 12 has %d sockets, want 2", got)
	}
}

func TestTreeOfExitedProcess(t *testing.T) {
	if _, err := machine().Tree(99); err == nil {
		t.Error("no error")
	}
}

func TestBusy(t *testing.T) {
	if programs, whole, err := machine().Busy(); err != nil || programs != 1.5 || whole <= programs {
		t.Errorf("got %v and %v, %v, want 1.5 s and more", programs, whole, err)
	}
	if _, _, err := (Reader{Proc: fstest.MapFS{"stat": {Data: []byte("intr 0\n")}}}).Busy(); err == nil {
		t.Error("no error")
	}
}
