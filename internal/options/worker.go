package options

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jessevdk/go-flags"
)

// worker is the name under which a worker speaks of itself.
const worker = "worker"

// WorkerOptions are the options of one worker.
type WorkerOptions struct {
	Options
	Slot int // from 0
	Row  int // of the scoreboard; -1: none
	// Kept says that connections are rescued: the worker has the descriptors for
	// that.
	Kept    bool
	Sockets []Socket // its listening sockets, in the order of their descriptors
}

// WorkerArgs returns the command line of the worker in a slot, which counts in a
// row of the scoreboard. [ParseWorker] reads it back exactly, but for what
// concerns the master alone. It has no flag with its default, which a worker of
// the same version knows. Flag and value share one argument, so that a value
// that begins with a dash stays a value.
func (o Options) WorkerArgs(slot, row int) []string {
	args := []string{"--slot=" + strconv.Itoa(slot), "--row=" + strconv.Itoa(row)}
	for field, v := range reflect.ValueOf(o).Fields() {
		flag := "--" + field.Tag.Get("long")
		switch {
		case flag == "--", field.Tag.Get("worker") == "no", reflect.DeepEqual(v.Interface(), initial(field)):
		case v.Kind() == reflect.Bool:
			args = append(args, flag)
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				args = append(args, fmt.Sprintf("%s=%v", flag, v.Index(i)))
			}
		case field.Tag.Get("value-name") == "DURATION":
			args = append(args, flag+"="+time.Duration(v.Int()).String())
		default:
			args = append(args, fmt.Sprintf("%s=%v", flag, v))
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

// initial returns the value of a flag that is not given.
func initial(field reflect.StructField) any {
	v := reflect.New(field.Type)
	if text, ok := field.Tag.Lookup("default"); ok {
		if err := v.Interface().(flags.Unmarshaler).UnmarshalFlag(text); err != nil {
			panic(err) // the tag is wrong
		}
	}
	return v.Elem().Interface()
}

// ParseWorker reads the worker's command line, see [Options.WorkerArgs]. The
// errors are those of [ParseMaster].
func ParseWorker(args []string) (WorkerOptions, error) {
	var l struct {
		line
		Slot     Slot     `long:"slot" value-name:"N" default:"0" description:"the slot this worker fills"`
		Kept     bool     `long:"kept" description:"connections outlive the worker"`
		Share    []string `long:"share" value-name:"PATH" unquote:"false" description:"file or directory beneath the root"`
		Sockets  []Socket `long:"socket" value-name:"KIND" description:"listening socket: http or https, with ,shared and ,foreign; or none"`
		Row      Row      `long:"row" value-name:"N" default:"-1" description:"the row of the scoreboard in which it counts"`
		Identity string   `long:"identity" value-name:"USER:GROUP" description:"the user and groups that the worker becomes, by number"`
	}
	p, err := newParser(worker, &l)
	if err == nil {
		err = parse(p, args, &l.Help, &l.Version)
	}
	if err != nil {
		return WorkerOptions{}, err
	}
	switch {
	case len(l.Sockets) == 0:
		l.Sockets = []Socket{{}}
	case l.Sockets[0].none:
		l.Sockets = nil
	}
	l.Verbose, l.Shared.Paths, l.Options.Identity = l.verbosity(), l.Share, l.Identity
	return WorkerOptions{Options: l.Options, Slot: int(l.Slot), Row: int(l.Row), Kept: l.Kept, Sockets: l.Sockets}, nil
}

// Socket is what a worker has to know of a listening socket, see [listen.Socket].
type Socket struct {
	Secure, Shared, Foreign bool

	none bool // there is no socket
}

// SocketArgs returns what a worker's command line says of its listening sockets: nothing
// of a single ordinary one.
func SocketArgs(sockets []Socket) []string {
	if len(sockets) == 1 && sockets[0] == (Socket{}) {
		return nil
	}
	if len(sockets) == 0 {
		sockets = []Socket{{none: true}}
	}
	var args []string
	for _, s := range sockets {
		args = append(args, "--socket="+s.String())
	}
	return args
}

func (s Socket) String() string {
	if s.none {
		return "none"
	}
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
	if *s = (Socket{none: true}); v == s.String() {
		return nil
	}
	*s = Socket{Secure: scheme == "https", Shared: strings.Contains(more, "shared"), Foreign: strings.Contains(more, "foreign")}
	if s.String() != v {
		return invalid("socket", v, "must be http or https, with ,shared and ,foreign, or none")
	}
	return nil
}

// Row is a row of the scoreboard, from 0; -1 is none.
type Row int

func (r *Row) UnmarshalFlag(v string) error {
	return number(r, "row", v, "must be -1 or more", -1, math.MaxInt32)
}

// Slot is a worker's place in the pool, 0 to MaxWorkers-1.
type Slot int

func (s *Slot) UnmarshalFlag(v string) error {
	return number(s, "slot", v, "must be 0 to 1023", 0, MaxWorkers-1)
}
