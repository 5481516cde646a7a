// Package options is the command line: every flag in one struct, what each
// may hold, where its default comes from, and the worker's command line
// made from it.
//
// The master reads flags and PHALANX_ variables; a flag beats a variable and
// a variable beats the default. The worker reads nothing but the command
// line that [Options.WorkerArgs] wrote, so that both always agree.
package options

import (
	"reflect"
)

// Options is what the user asked for, validated value by value. Beside the tags
// of go-flags, reload:"no" says that a flag cannot change while the master
// runs, and worker:"no" that it is nothing to a worker.
type Options struct {
	Base    Base    `group:"Website" long:"base" value-name:"DIR" default:"." unquote:"false" description:"the directory to serve" detail:"It is opened once: when a symbolic link of that name is pointed elsewhere, start again."`
	Expires Expires `group:"Website" long:"expires" value-name:"DURATION" default:"12h" description:"how long a browser may keep a file without asking" detail:"It is said in Expires and in Cache-Control: max-age; 0 lets the browser ask each time."`

	Cache    []Rule     `group:"Website" long:"cache" value-name:"GLOB=VALUE" unquote:"false" description:"Cache-Control by path; the first fit counts" detail:"May be repeated, as in --cache '*.html=no-cache' --cache 'assets/**=max-age=31536000, immutable'."`
	Type     []TypeRule `group:"Website" long:"type" value-name:"GLOB=TYPE" unquote:"false" description:"media type by path; the first fit counts" detail:"May be repeated, as in --type apple-app-site-association=application/json; what fits none has the type of its extension."`
	Index    []Name     `group:"Website" long:"index" value-name:"NAME" default-mask:"index.html" unquote:"false" description:"the file that stands for its directory" detail:"May be repeated; the first that is there counts."`
	List     bool       `group:"Website" long:"list" description:"list directories that have no index" detail:"As a page, or as JSON with ?format=json or by Accept."`
	Dotfiles bool       `group:"Website" long:"dotfiles" description:"show names that begin with a dot" detail:"/.well-known/ is always shown."`
	SPA      Path       `group:"Website" long:"spa" value-name:"FILE" unquote:"false" description:"answer with this file where there is none" detail:"This is for applications of a single page."`
	Header   []Field    `group:"Website" long:"header" value-name:"FIELD" unquote:"false" description:"a 'Name: value' for every reply" detail:"May be repeated. Fields that the server is to be right about, such as Content-Length, are refused."`
	CORS     bool       `group:"Website" long:"cors" description:"let the scripts of every site read what is served"`

	Port Port `group:"Network" long:"port" reload:"no" value-name:"N" default:"8080" description:"TCP port; 0 takes a free one"`
	Bind Bind `group:"Network" long:"bind" reload:"no" value-name:"ADDR" unquote:"false" default-mask:"all, IPv4 and IPv6" description:"listen on this IP address alone"`

	Model   Model   `group:"Serving" long:"model" reload:"no" value-name:"MODEL" default:"process" description:"what serves: process, goroutine or serial" detail:"process has one worker for each CPU, each with one thread around epoll; goroutine has one worker with a goroutine for each connection; serial takes one connection after the other."`
	Workers Workers `group:"Serving" long:"workers" value-name:"N" default:"0" default-mask:"one per CPU" description:"worker processes of the process model" detail:"The limits of a cgroup count."`

	Engine    Engine    `group:"Serving" long:"engine" value-name:"ENGINE" default:"auto" description:"how process workers wait: epoll (auto) or netpoll"`
	Recv      Recv      `group:"Serving" long:"recv" value-name:"BYTES" default:"65536" description:"size of each recv(), 1 to 16M; 64k is understood"`
	KeepAlive KeepAlive `group:"Serving" long:"keepalive" value-name:"DURATION" default:"30s" description:"how long an idle connection stays open"`
	FileCache FileCache `group:"Serving" long:"file-cache" value-name:"DURATION" default:"1s" description:"when epoll workers look at a file again"`
	Worker    File      `group:"Serving" long:"worker" value-name:"PATH" unquote:"false" default-mask:"beside the master" description:"the worker binary"`

	Config       File         `group:"Pool" long:"config" worker:"no" value-name:"FILE" unquote:"false" no-ini:"true" description:"flags, one to a line; SIGHUP reads it again" detail:"The file may hold every flag but --config and --check."`
	LameDuck     LameDuck     `group:"Pool" long:"lame-duck" reload:"no" worker:"no" value-name:"DURATION" default:"0s" default-mask:"none" description:"how long to serve on after the first SIGTERM"`
	DrainTimeout DrainTimeout `group:"Pool" long:"drain-timeout" reload:"no" worker:"no" value-name:"DURATION" default:"0s" default-mask:"none" description:"how long a replaced worker may take to finish" detail:"Then what is left of it is cut off."`
	HangTimeout  HangTimeout  `group:"Pool" long:"hang-timeout" reload:"no" value-name:"DURATION" default:"30s" description:"how long a worker may show no sign of life" detail:"It is killed and replaced then; 0 switches that off."`
	Rescue       Rescue       `group:"Pool" long:"rescue" worker:"no" value-name:"WHEN" default:"auto" description:"a killed worker's connections go on: auto, off"`
	MaxRequests  MaxRequests  `group:"Pool" long:"max-requests" value-name:"N" default:"0" default-mask:"none" description:"replace a worker after so many requests"`
	MaxMemory    MaxMemory    `group:"Pool" long:"max-memory" value-name:"BYTES" default:"0" default-mask:"none" description:"replace a worker that uses more, such as 512M"`

	Admin           Admin           `group:"Seeing inside" long:"admin" reload:"no" worker:"no" value-name:"ADDR" unquote:"false" default-mask:"none" description:"show the pool here: HOST:PORT, or a socket's path" detail:"The endpoint has metrics for Prometheus and a page that shows the pool. A unix socket, which only the same user and root can open, takes orders too."`
	AccessLog       AccessLog       `group:"Seeing inside" long:"access-log" value-name:"FILE" unquote:"false" default-mask:"none" description:"a line for each request; - is standard output" detail:"The master alone writes it, whole lines."`
	AccessLogFormat AccessLogFormat `group:"Seeing inside" long:"access-log-format" value-name:"FORMAT" default:"combined" description:"its lines: common, combined or json"`
	RequestID       bool            `group:"Seeing inside" long:"request-id" description:"number requests: X-Request-Id; -v does so too"`

	Check bool `group:"Output" long:"check" worker:"no" no-ini:"true" description:"check the options and exit"`

	// Verbose counts: 0 silent, 1 requests, 2 connections and heads, 3 each recv.
	Verbose   int       `no-flag:"counted by line.More"`
	LogFormat LogFormat `group:"Output" long:"log-format" value-name:"FORMAT" default:"auto" description:"log lines: console (auto on a terminal) or json"`
}

// Slots returns how many workers the pool has on a machine with this many
// usable CPUs, at least 1 and at most [MaxWorkers].
func (o Options) Slots(cpus int) int {
	switch {
	case o.Model != Process:
		return 1
	case o.Workers > 0:
		return int(o.Workers)
	default:
		return max(1, min(cpus, MaxWorkers))
	}
}

// NeedsRestart returns a flag that differs between two settings of one master
// and that cannot change while it runs, or "".
func NeedsRestart(a, b Options) string {
	before, after := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range before.NumField() {
		tag := before.Type().Field(i).Tag
		if tag.Get("reload") == "no" && !before.Field(i).Equal(after.Field(i)) {
			return tag.Get("long")
		}
	}
	return ""
}

// RequestIDs reports whether a reply names its request, in X-Request-Id. The
// log of -v names it as well, so that the two can be put together.
func (o Options) RequestIDs() bool {
	return o.RequestID || o.Verbose > 0
}

// EventLoop reports whether a worker serves with one thread around epoll, or
// else with goroutines on Go's poller.
func (o Options) EventLoop() bool {
	return o.Model == Process && o.Engine != Netpoll
}

// Rescues reports whether connections are to outlive a worker that is killed.
func (o Options) Rescues() bool { return o.Rescue != Off && o.EventLoop() }

// Procs returns the GOMAXPROCS of a worker; 0 leaves it as the master's own.
// The event loop keeps one for itself while it works; the second is for the
// garbage collector, signals and the control channel.
func (o Options) Procs() int {
	switch {
	case o.Model == Goroutine:
		return 0
	case o.EventLoop():
		return 2
	}
	return 1
}
