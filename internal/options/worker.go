package options

import (
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/listen"
)

// worker is the program name in a worker's messages.
const worker = "worker"

// WorkerOptions are the options of one worker.
type WorkerOptions struct {
	Options
	Slot int // from 0
	Row  int // of the scoreboard; -1: none
	// Kept: connections are rescued, and the worker inherits the descriptors for that.
	Kept    bool
	Sockets []Socket // its listening sockets, in the order of their descriptors
}

// WorkerArgs returns the command line of the worker in a slot. row is its row of the
// scoreboard; -1: none. [ParseWorker] parses it to the same options, except for those that
// only the master uses. Flags with their default value are left out. Flag and value are one
// argument, so that a value may begin with a dash.
func (o Options) WorkerArgs(slot, row int) []string {
	args := []string{"--slot=" + strconv.Itoa(slot), "--row=" + strconv.Itoa(row)}
	unset := reflect.ValueOf(initial())
	for field, v := range reflect.ValueOf(o).Fields() {
		flag := "--" + field.Tag.Get("long")
		switch {
		case flag == "--", field.Tag.Get("worker") == "no", reflect.DeepEqual(v.Interface(), unset.FieldByIndex(field.Index).Interface()):
		case v.Kind() == reflect.Bool:
			args = append(args, flag)
		default:
			for _, text := range texts(field, v) {
				args = append(args, flag+"="+text)
			}
		}
	}
	for _, path := range o.Shared.Paths {
		args = append(args, "--share="+path)
	}
	if o.Identity != "" {
		args = append(args, "--identity="+o.Identity)
	}
	for range o.Verbose {
		args = append(args, "--verbose")
	}
	return args
}

// initial returns the options of an empty command line.
func initial() (o Options) {
	for field, v := range reflect.ValueOf(&o).Elem().Fields() {
		if text, ok := field.Tag.Lookup("default"); ok {
			if err := v.Addr().Interface().(flags.Unmarshaler).UnmarshalFlag(text); err != nil {
				panic(err) // the tag is wrong
			}
		}
	}
	return o
}

// ParseWorker parses the worker's command line, see [Options.WorkerArgs]. Errors are as those
// of [Start.Options].
func ParseWorker(args []string) (WorkerOptions, error) {
	var l struct {
		line
		Slot     Slot     `long:"slot" value-name:"N" default:"0" description:"slot of the worker"`
		Kept     bool     `long:"kept" description:"connections are rescued if the worker is killed"`
		Share    []string `long:"share" value-name:"PATH" unquote:"false" description:"file or directory to share"`
		Sockets  []Socket `long:"socket" value-name:"KIND" description:"listening socket: http or https, with ,shared and ,foreign"`
		Row      Row      `long:"row" value-name:"N" default:"-1" description:"row of the worker in the scoreboard"`
		Identity string   `long:"identity" value-name:"USER:GROUP" description:"numeric user and groups of the worker"`
	}
	if err := parse(newParser(worker, &l), args, &l.Help, &l.Version); err != nil {
		return WorkerOptions{}, err
	}
	l.Verbose, l.Shared.Paths, l.Options.Identity = l.verbosity(), l.Share, l.Identity
	return WorkerOptions{Options: l.Options, Slot: int(l.Slot), Row: int(l.Row), Kept: l.Kept, Sockets: l.Sockets}, nil
}

// Socket has the properties of a listening socket that a worker needs, see [listen.Socket].
type Socket struct {
	Secure, Shared, Foreign bool
}

// InheritedArgs returns the flags that describe what a worker inherits: its listening sockets, and,
// if kept, the descriptors for the rescue of its connections.
func InheritedArgs(sockets []listen.Socket, kept bool) (args []string) {
	for _, s := range sockets {
		args = append(args, "--socket="+Socket{s.Secure, s.Shared, s.Foreign}.String())
	}
	if kept {
		args = append(args, "--kept")
	}
	return args
}

func (s Socket) String() string {
	text := "http"
	if s.Secure {
		text = "https"
	}
	if s.Shared {
		text += ",shared"
	}
	if s.Foreign {
		text += ",foreign"
	}
	return text
}

func (s *Socket) UnmarshalFlag(v string) error {
	scheme, more, _ := strings.Cut(v, ",")
	*s = Socket{Secure: scheme == "https", Shared: strings.Contains(more, "shared"), Foreign: strings.Contains(more, "foreign")}
	if s.String() != v {
		return invalid(v, "must be http or https, with ,shared and ,foreign")
	}
	return nil
}

// Row is a row of the scoreboard, from 0; -1 is none.
type Row int

func (r *Row) UnmarshalFlag(v string) error {
	return number(r, v, "must be -1 or more", -1, math.MaxInt32)
}

// Slot is the number of a slot, 0 to MaxWorkers-1.
type Slot int

func (s *Slot) UnmarshalFlag(v string) error {
	return number(s, v, "must be 0 to 1023", 0, MaxWorkers-1)
}
