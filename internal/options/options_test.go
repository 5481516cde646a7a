package options

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/listen"
)

func TestWorkerArgs(t *testing.T) {
	full := Options{
		Base: Base("-a \"b\"\n\xff"), Port: 1, Bind: "fe80::1%eth0", Model: Goroutine, Engine: Netpoll, Workers: 1, Recv: 1,
		KeepAlive: KeepAlive(1500 * time.Millisecond), Expires: Expires(MaxExpires),
		FileCache: 0, Worker: "-w", Verbose: 3, LogFormat: "console",
		Cache: []Rule{{"a/**", "max-age=1, b=c"}, {"*.js", "no-cache"}}, Type: []TypeRule{{"a", `text/plain; charset="utf-8"`}, {"*.b", "c/d"}}, Index: []Name{"a", "-b"},
		List: true, Dotfiles: true, CORS: true, SPA: "app/index.html", Header: []Field{"A: b", "C: d: e"},
		AccessLog: "-odd log", AccessLogFormat: "json", RateAfter: 1 << 41, MaxMemory: 1 << 42, CacheSize: 1 << 30, RequestID: true, Plain: PlainRedirect, HTTP2: Off, Rescue: "auto", Confine: "auto", ServerTokens: "on", Symlinks: "inside", ETag: ETagAuto, ClientHeader: "X-Forwarded-For",
	}
	for _, o := range []Options{defaults(), full} {
		t.Setenv("PHALANX_PORT", "7") // the worker must not see it
		sockets := []listen.Socket{{}, {Secure: true, Shared: true, Foreign: true}, {Foreign: true}}
		got, err := ParseWorker(append(o.WorkerArgs(7, -1), InheritedArgs(sockets, true)...))
		if want := (WorkerOptions{Options: o, Slot: 7, Row: -1, Kept: true, Sockets: []Socket{{}, {true, true, true}, {Foreign: true}}}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	if got, err := ParseWorker(InheritedArgs(nil, false)); err != nil || got.Sockets != nil || got.Kept {
		t.Errorf("got %+v, %v, want nothing inherited", got, err)
	}
	for _, arg := range []string{"--slot=1024", "--socket=", "--socket=none,shared", "--socket=http,", "--socket=http,foreign,shared", "--socket=unix"} {
		if _, err := ParseWorker([]string{arg}); err == nil {
			t.Errorf("%s is accepted", arg)
		}
	}
}

// A worker's command line lacks the master's own flags and defaults, so that ps(1) shows what
// was configured.
func TestWorkerArgsAreFew(t *testing.T) {
	o := defaults()
	o.Admin, o.Config, o.Check, o.LameDuck, o.DrainTimeout, o.Rescue = "127.0.0.1:9090", "f", true, LameDuck(time.Second), DrainTimeout(time.Second), Off
	o.Base, o.HangTimeout, o.Verbose = "/srv/www", HangTimeout(time.Minute), 1
	want := []string{"--slot=0", "--row=3", "--base=/srv/www", "--index=index.html", "--hang-timeout=1m", "--verbose"}
	if got := o.WorkerArgs(0, 3); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNeedsRestart(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"":              func(o *Options) { o.AccessLog, o.AccessLogFormat, o.RequestID, o.Base = "a", "json", true, "b" },
		"admin":         func(o *Options) { o.Admin = "/run/s" },
		"port":          func(o *Options) { o.Port = 1 },
		"bind":          func(o *Options) { o.Bind = "::1" },
		"listen":        func(o *Options) { o.Listen = []Listen{{Port: 1}} },
		"model":         func(o *Options) { o.Model = Serial },
		"lame-duck":     func(o *Options) { o.LameDuck = 1 },
		"drain-timeout": func(o *Options) { o.DrainTimeout = 1 },
		"hang-timeout":  func(o *Options) { o.HangTimeout = 0 },
		"log-format":    func(o *Options) { o.LogFormat = LogJSON },
		"verbose":       func(o *Options) { o.Verbose = 1 },
	} {
		o := defaults()
		change(&o)
		if got := NeedsRestart(defaults(), o); got != name {
			t.Errorf("NeedsRestart = %q, want %q", got, name)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want bool
	}{{Options{}, false}, {Options{RequestID: true}, true}, {Options{Verbose: 1}, true}} {
		if got := tt.o.RequestIDs(); got != tt.want {
			t.Errorf("RequestIDs of %+v = %v", tt.o, got)
		}
	}
}

func TestSlots(t *testing.T) {
	tests := []struct {
		model   Model
		workers Workers
		cpus    int
		want    int
	}{
		{Process, 0, 8, 8},
		{Process, 0, 0, 1},
		{Process, 0, 5000, MaxWorkers},
		{Process, 3, 8, 3},
		{Goroutine, 0, 8, 1},
		{Serial, 1, 8, 1},
	}
	for _, tt := range tests {
		o := Options{Model: tt.model, Workers: tt.workers}
		if got := o.Slots(tt.cpus); got != tt.want {
			t.Errorf("%s, --workers %d, %d CPUs: %d slots, want %d", tt.model, tt.workers, tt.cpus, got, tt.want)
		}
	}
}

func TestCheckBase(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	touch(t, file)
	t.Chdir(filepath.Dir(dir))
	got, err := CheckBase(Base(filepath.Base(dir)))
	if err != nil || string(got) != dir {
		t.Errorf("CheckBase of a relative path = %q, %v, want %q", got, err, dir)
	}
	denied := func(string) (*os.File, error) {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission}
	}
	for _, tt := range []struct {
		base, want string
		open       func(string) (*os.File, error)
	}{
		{dir + "/none", ": no such directory; create it or give another", os.Open},
		{file, ": is not a directory; give the directory that holds the website", os.Open},
		{dir, ": permission denied; make it readable (chmod a+rx) or run as its owner", denied},
	} {
		_, err := checkBase(Base(tt.base), os.Stat, tt.open)
		if exitcode.Code(err) != exitcode.Config || err.Error() != "--base "+tt.base+tt.want {
			t.Errorf("CheckBase(%q): %v", tt.base, err)
		}
	}
}
