package ipc

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/systest"
)

// sameFile reports whether two descriptors refer to one open file.
func sameFile(t *testing.T, a, b int) bool {
	t.Helper()
	var sa, sb unix.Stat_t
	if err := errors.Join(unix.Fstat(a, &sa), unix.Fstat(b, &sb)); err != nil {
		t.Fatal(err)
	}
	return sa.Dev == sb.Dev && sa.Ino == sb.Ino
}

func TestRescueChannel(t *testing.T) {
	master, worker, err := RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(worker)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	socket, file := int(read.Fd()), int(write.Fd())
	if err := SendRecords(master, socket); err != nil {
		t.Fatal(err)
	}
	var all []Kept
	for i := range MaxKept {
		k := Kept{Number: 1000 + i, Socket: socket, File: -1}
		if i%2 == 0 {
			k.File = file
		}
		all = append(all, k)
	}
	if err := SendKept(master, all); err != nil {
		t.Fatal(err)
	}
	unix.Close(master)
	records, err := ReceiveRecords(worker)
	if err != nil || !sameFile(t, records, socket) {
		t.Errorf("records: %v", err)
	}
	unix.Close(records)
	got, lost, err := ReceiveKept(worker)
	if err != nil || lost > 0 || len(got) != len(all) {
		t.Fatalf("%d connections, %v", len(got), err)
	}
	for i, k := range got {
		if k.Number != all[i].Number || k.File < 0 != (all[i].File < 0) || !sameFile(t, k.Socket, socket) {
			t.Errorf("%d: %+v", i, k)
		}
		unix.Close(k.Socket)
		if k.File >= 0 {
			if !sameFile(t, k.File, file) {
				t.Errorf("%d: a different file", i)
			}
			unix.Close(k.File)
		}
	}
	if _, _, err := ReceiveKept(worker); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestRescueChannelRefuses(t *testing.T) {
	master, worker, err := RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(master)
	defer unix.Close(worker)
	for _, p := range []string{"", "\x00\x00\x00", "\x80\x00\x00\x01\x00\x00\x00\x01"} {
		if err := sendRights(master, []byte(p), []int{0}); err != nil {
			t.Fatal(err)
		}
		if got, _, err := ReceiveKept(worker); err == nil {
			t.Errorf("%q: %+v", p, got)
		}
	}
}

// A process that cannot receive all descriptors of a message gets the first ones.
func TestRescueChannelTruncates(t *testing.T) {
	master, worker, err := RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(master)
	defer unix.Close(worker)
	var all []Kept
	for i := range MaxKept {
		all = append(all, Kept{Number: i, Socket: worker, File: worker})
	}
	if err := SendKept(master, all); err != nil {
		t.Fatal(err)
	}
	restore := systest.FullTable(t, 20)
	got, lost, err := ReceiveKept(worker)
	restore()
	if err != nil || len(got) == 0 || len(got) > 10 || len(got)+lost != MaxKept {
		t.Errorf("%d connections, %d lost, %v", len(got), lost, err)
	}
	for i, k := range got {
		if k.Number != i || !sameFile(t, k.Socket, worker) || !sameFile(t, k.File, worker) {
			t.Errorf("%d: %+v", i, k)
		}
		Discard(k.Socket, k.File)
	}
}
