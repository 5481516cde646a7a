package site

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// written is what an entity tag is made from.
type written struct {
	at   proto.Time
	size int64
}

// A file that is rewritten as fast as possible never has two contents with the same settled time
// and size.
func TestSettledIsNeverAmbiguous(t *testing.T) {
	for _, dir := range []string{t.TempDir(), inMemoryDir(t)} {
		r := openRoot(t, dir)
		known := map[written]string{}
		end := time.Now().Add(300 * time.Millisecond)
		for n := 0; time.Now().Before(end) || len(known) == 0; n++ {
			text := time.Unix(int64(n), 0).UTC().Format(time.RFC3339)
			plant(t, dir, "f: "+text)
			for range n % 200 {
				f, _ := r.Open([]byte("/f"), proto.Codings{}, new(proto.Access))
				key, settled := written{f.Modified(), f.Size()}, f.Settled()
				got := contents(t, f)
				f.Close()
				if was, ok := known[key]; settled && ok && was != got {
					t.Fatalf("9110-8.8.1: %s and %s at %v", was, got, key)
				} else if settled {
					known[key] = got
				}
			}
		}
	}
}

// inMemoryDir returns a directory in a tmpfs, whose times are exact.
func inMemoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "site")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A file that was written a moment ago is settled long before two seconds have passed, on file
// systems with the kernel's own timestamps.
func TestSettledSoon(t *testing.T) {
	dir := inMemoryDir(t)
	r := openRoot(t, dir)
	for range 10 { // a machine may stand still once
		plant(t, dir, "f: f")
		began := time.Now()
		for {
			f, _ := r.Open([]byte("/f"), proto.Codings{}, new(proto.Access))
			settled := f.Settled()
			f.Close()
			if settled {
				break
			}
		}
		if time.Since(began) < coarsest/2 {
			return
		}
	}
	t.Error("the file is not settled within a second")
}

func TestSettled(t *testing.T) {
	dir := inMemoryDir(t)
	plant(t, dir, "f: f")
	r := openRoot(t, dir)
	now := time.Now()
	r.Now = func() time.Time { return now }
	second := now.Unix()
	for _, tt := range []struct {
		name string
		at   proto.Time
		want bool
	}{
		{"old", proto.Time{Sec: second - 3}, true},
		{"old, with a fraction", proto.Time{Sec: second - 3, Nsec: 1}, true},
		{"a whole second, perhaps of FAT", proto.Time{Sec: second - 1}, false},
		{"this second, perhaps of ext3", proto.Time{Sec: second}, false},
		{"a second ago to the nanosecond", proto.Time{Sec: second - 1, Nsec: 1}, true},
		{"in the future", proto.Time{Sec: second + 100, Nsec: 1}, false},
		{"beyond 2262", proto.Time{Sec: 1 << 35, Nsec: 1}, false},
		{"before 1970", proto.Time{Sec: -1, Nsec: 1}, true},
	} {
		at := unix.Timespec{Sec: tt.at.Sec, Nsec: tt.at.Nsec}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/f", []unix.Timespec{at, at}, 0); err != nil {
			t.Fatal(err)
		}
		f, _ := r.Open([]byte("/f"), proto.Codings{}, new(proto.Access))
		if f.Modified() != tt.at || f.Settled() != tt.want {
			t.Errorf("%s: %v is settled: %v, want %v", tt.name, f.Modified(), f.Settled(), tt.want)
		}
		f.Close()
	}
}

// File systems that are not known to have exact times get the granularity of the coarsest one.
func TestKeepsNanoseconds(t *testing.T) {
	for path, want := range map[string]bool{inMemoryDir(t): true, "/proc/version": false, "/sys/kernel": false} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := keepsNanoseconds(int(f.Fd())); got != want {
			t.Errorf("%s: %v", path, got)
		}
		f.Close()
	}
}
