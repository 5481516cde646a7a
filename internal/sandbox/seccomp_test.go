package sandbox

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// decide runs a filter on a call as the kernel does. It knows only the instructions that
// assemble uses.
func decide(t *testing.T, p program, arch uint32, call int, args ...uint64) uint32 {
	t.Helper()
	var data [64]byte // struct seccomp_data
	binary.NativeEndian.PutUint32(data[offsetCall:], uint32(call))
	binary.NativeEndian.PutUint32(data[offsetArch:], arch)
	for i, a := range args {
		binary.NativeEndian.PutUint64(data[offsetArgs+8*i:], a)
	}
	loaded := uint32(0)
	for at := 0; at < len(p); at++ {
		in, holds := p[at], false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			loaded = binary.NativeEndian.Uint32(data[in.K:])
			continue
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			holds = loaded == in.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			holds = loaded&in.K != 0
		default:
			t.Fatalf("instruction %d is %+v", at, in)
		}
		if at += int(in.Jf); holds {
			at += int(in.Jt) - int(in.Jf)
		}
	}
	t.Fatal("the filter does not return")
	return 0
}

func TestFilter(t *testing.T) {
	p := assemble(7, []allowed{
		{call: 1},
		{2, []test{{arg: 1, is: []uint32{10, 20, 30}}}},
		{3, []test{{arg: 2, not: 4}}},
		{5, []test{{arg: 0, is: []uint32{7, 8}}, {arg: 1, not: 4}}},
		{5, []test{{arg: 0, is: []uint32{9}}}},
		{6, []test{{arg: 1, null: true}}},
		{call: 0},
	})
	const high = 1 << 32 // does not count
	for _, c := range []struct {
		arch  uint32
		call  int
		args  []uint64
		allow bool
	}{
		{7, 1, nil, true},
		{7, 0, nil, true},
		{7, 4, nil, false},
		{8, 1, nil, false},
		{7, 0x40000001, nil, false}, // the same of x32
		{7, 2, []uint64{0, 10}, true},
		{7, 2, []uint64{0, 20}, true},
		{7, 2, []uint64{0, high | 30}, true},
		{7, 2, []uint64{10, 0}, false},
		{7, 2, []uint64{0, 11}, false},
		{7, 3, []uint64{0, 0, 3}, true},
		{7, 3, []uint64{0, 0, 7}, false},
		{7, 5, []uint64{7, 3}, true},
		{7, 5, []uint64{8, 8}, true},
		{7, 5, []uint64{8, 4}, false},
		{7, 5, []uint64{9, 0}, true},
		{7, 5, []uint64{6, 4}, false},
		{7, 6, []uint64{1, 0}, true},
		{7, 6, []uint64{0, 1}, false},
		{7, 6, []uint64{0, high}, false},
	} {
		want := uint32(unix.SECCOMP_RET_KILL_PROCESS)
		if c.allow {
			want = unix.SECCOMP_RET_ALLOW
		}
		if got := decide(t, p, c.arch, c.call, c.args...); got != want {
			t.Errorf("call %d of %d with %v: %#x, want %#x", c.call, c.arch, c.args, got, want)
		}
	}
}

// A call without a bit that must be set fails, and does not end the process.
func TestRequiredBit(t *testing.T) {
	p := assemble(7, []allowed{
		{4, []test{{arg: 1, is: []uint32{3}}, {arg: 2, set: 8}}},
		{4, []test{{arg: 1, is: []uint32{5}}}},
	})
	const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	for args, want := range map[[3]uint64]uint32{
		{0, 3, 8}: unix.SECCOMP_RET_ALLOW,
		{0, 3, 9}: unix.SECCOMP_RET_ALLOW,
		{0, 3, 0}: refused,
		{0, 3, 7}: refused,
		{0, 5, 0}: unix.SECCOMP_RET_ALLOW,
		{0, 4, 8}: unix.SECCOMP_RET_KILL_PROCESS,
	} {
		if got := decide(t, p, 7, 4, args[:]...); got != want {
			t.Errorf("call with %v: %#x, want %#x", args, got, want)
		}
	}
}

// The kernel accepts at most 4096 instructions, and jumps over at most 255.
func TestFilterIsSmall(t *testing.T) {
	if n := len(assemble(arch, calls())); n > 400 {
		t.Errorf("%d instructions", n)
	}
}
