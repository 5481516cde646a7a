package options

import (
	"cmp"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jessevdk/go-flags"
)

// Command is a command line that begins with a command, such as status or explain.
type Command struct {
	Name string // top, status, reload, stop, scale, explain, share or compress

	Admin Admin // admin endpoint of the server; not for explain
	// Nodes are the admin endpoints if several servers are shown (top, status): none or at
	// least two.
	Nodes []Admin
	// TokenFile is the file with the endpoint's token; "": none is sent.
	TokenFile string
	JSON      bool          // status: print JSON
	Interval  time.Duration // top: refresh interval, MinInterval to MaxInterval
	Workers   int           // scale: the number of workers to set, 1 to MaxWorkers

	URL     string   // explain: path or URL, as given
	Method  string   // explain: of the request
	Header  []string // explain: header fields of the request, as given, in order
	From    Source   // explain: address of the client; "": not given
	Options Options  // explain, share, compress: what is served, and how

	Share    *Share    // share: its options; else nil
	Compress *Compress // compress: its options; else nil
}

// commands defines all commands, in the order of the help, where those with minor:"yes" share
// a row. Completion and the man page are made from it too.
type commands struct {
	Top        topCommand        `command:"top" description:"watch a running server, like top(1)" long-description:"Shows the workers and their connections live. Press ? for help, q to quit. With several --admin, shows all these servers." usage:"[--admin ADDR]... [--interval DURATION]" example:"top --admin /run/phalanx.sock"`
	Status     statusCommand     `command:"status" description:"print a snapshot of a running server" long-description:"Prints the state of the server and each of its workers. With several --admin, prints a line for each server, and exits with 1 if one does not respond." usage:"[--admin ADDR]... [--json]" example:"status --admin 127.0.0.1:9090 --json"`
	Reload     orderCommand      `command:"reload" description:"replace every worker, as SIGHUP does" long-description:"Makes the server reread its options and replace every worker, and waits until it has." usage:"[--admin ADDR]" example:"reload --admin /run/phalanx.sock"`
	Stop       orderCommand      `command:"stop" description:"drain and stop, as SIGTERM does" long-description:"Drains and stops the server, and waits until it has: downloads under way are finished first." usage:"[--admin ADDR]" example:"stop --admin /run/phalanx.sock"`
	Scale      scaleCommand      `command:"scale" description:"set the number of workers" long-description:"Adds or removes workers until there are N, and waits until that is done." usage:"[--admin ADDR] N" example:"scale --admin /run/phalanx.sock 8"`
	Share      shareCommand      `command:"share" description:"share files and directories with people" long-description:"Shows the addresses to open, a QR code for phones, visits and downloads as they happen, and a summary at the end. Directories are listed and can be downloaded as archives. Uses port 8080, or the next free one. Accepts the server's flags too." usage:"[flags] [PATH]..." example:"share ~/Downloads --password --for 1h"`
	Compress   compressCommand   `command:"compress" description:"write compressed copies of a site's files" long-description:"Writes .br, .zst and .gz beside the files of a document root that compress well, for clients that accept these content codings. Current copies are left alone: run it after each change, and again if it was interrupted. Accepts the server's flags, variables and config file." usage:"[flags] [DIR]" example:"compress /srv/www"`
	Explain    explainCommand    `command:"explain" description:"show how a request would be served, and why" long-description:"Shows step by step how a request would be served; no server has to be running. Accepts the server's flags, variables and config file too." usage:"[flags] URL" example:"explain --base site /index.html -H 'Range: bytes=0-9'"`
	Config     configCommand     `command:"config" description:"print the options and where each comes from" long-description:"Prints the options that the server would start with, in the form of a config file, and where each comes from: default, line of the config file, variable or command line. Accepts the server's flags, variables and config file. With --sample, prints a commented file to start from." usage:"[flags] [DIR]" example:"config --port 80"`
	Help       helpCommand       `command:"help" description:"explain a command, a flag or a group of flags" long-description:"Prints the help of a command, a flag or a group of flags; with the topic all, that of every flag." usage:"[TOPIC]" example:"help port"`
	Version    manCommand        `command:"version" minor:"yes" description:"print the version" long-description:"Prints the version, as --version does." usage:"" example:"version"`
	Man        manCommand        `command:"man" minor:"yes" description:"print the man page" long-description:"Prints the man page, for man(1) and mandoc(1)." usage:"" example:"man >phalanx.1"`
	Completion completionCommand `command:"completion" minor:"yes" description:"print the completion of bash, zsh or fish" long-description:"Prints a script with which a shell completes commands, flags and their values." usage:"bash|zsh|fish" example:"completion bash >~/.local/share/bash-completion/completions/phalanx"`
}

// helpFlag is embedded in every command.
type helpFlag struct {
	Help bool `short:"h" long:"help" description:"print the help"`
}

// endpointFlag has the flags with which a command reaches a server.
type endpointFlag struct {
	Admin Admin `long:"admin" value-name:"ADDR" unquote:"false" description:"admin endpoint of the server"`
	Token File  `long:"admin-token-file" value-name:"FILE" unquote:"false" description:"file with its bearer token"`
}

// endpointFlags is endpointFlag for one or several servers.
type endpointFlags struct {
	Admin []Admin `long:"admin" value-name:"ADDR" unquote:"false" description:"admin endpoint; repeat it for several servers"`
	Token File    `long:"admin-token-file" value-name:"FILE" unquote:"false" description:"file with its bearer token"`
}

type (
	topCommand struct {
		endpointFlags
		Interval Interval `long:"interval" value-name:"DURATION" default:"1s" description:"refresh interval, 100ms to 1m"`
		helpFlag
	}
	statusCommand struct {
		endpointFlags
		JSON bool `long:"json" description:"print JSON"`
		helpFlag
	}
	orderCommand struct {
		endpointFlag
		helpFlag
	}
	scaleCommand struct {
		endpointFlag
		helpFlag
		Args struct {
			N scaled `positional-arg-name:"N" description:"number of workers, 1 to 1024"`
		} `positional-args:"yes" required:"yes"`
	}
	explainCommand struct {
		Method  string   `short:"X" value-name:"METHOD" default:"GET" unquote:"false" description:"method of the request"`
		From    Source   `long:"from" value-name:"ADDRESS" description:"address of the client, or unix"`
		Request []string `short:"H" value-name:"FIELD" unquote:"false" description:"header field 'Name: value' of the request"`
		line
		Args struct {
			URL string `positional-arg-name:"URL" description:"path such as /index.html, or http://HOST/PATH"`
		} `positional-args:"yes" required:"yes"`
	}
	configCommand struct {
		Sample bool `long:"sample" description:"print a commented file without settings"`
		line
	}
	helpCommand struct {
		helpFlag
		Args struct {
			Topic topic `positional-arg-name:"TOPIC" description:"command, flag, group of flags, or all"`
		} `positional-args:"yes"`
	}
	manCommand        struct{ helpFlag }
	completionCommand struct {
		helpFlag
		Args struct {
			Shell shell `positional-arg-name:"SHELL" description:"bash, zsh or fish"`
		} `positional-args:"yes" required:"yes"`
	}
)

// part returns a pointer to the struct of the command with the name, and one to its Help flag.
func (c *commands) part(name string) (data any, help *bool) {
	for field, part := range reflect.ValueOf(c).Elem().Fields() {
		if field.Tag.Get("command") == name {
			return part.Addr().Interface(), part.FieldByName("Help").Addr().Interface().(*bool)
		}
	}
	return nil, nil
}

// definitions yields the tag of each command.
func definitions() iter.Seq[reflect.StructTag] {
	return func(yield func(reflect.StructTag) bool) {
		for field := range reflect.TypeFor[commands]().Fields() {
			if !yield(field.Tag) {
				return
			}
		}
	}
}

// tag returns the value of a key in the tag of a command, "" if there is no such command.
func tag(command, key string) string {
	for t := range definitions() {
		if t.Get("command") == command {
			return t.Get(key)
		}
	}
	return ""
}

// Command parses a command line that begins with a command. It returns nil if the first argument
// is a flag or a directory, or missing; [Start.Options] parses such command lines. The error is an
// [*exitcode.Error], or an [*Info] with the help, version, man page or completion that the user
// asked for.
func (s Start) Command() (*Command, error) {
	if s.Getenv(envCompletion) != "" {
		return nil, s.complete()
	}
	if len(s.Args) == 0 || strings.HasPrefix(s.Args[0], "-") {
		return nil, nil
	}
	var all commands
	data, help := all.part(s.Args[0])
	if data == nil {
		return nil, checkArgument(s.Name, s.Args[0])
	}
	program, c := s.Name, &Command{Name: s.Args[0]}
	s.Name, s.Args = program+" "+c.Name, s.Args[1:]
	switch c.Name {
	case "explain":
		return s.explain(c)
	case "config":
		return nil, s.config(program)
	case "share":
		return s.share(c)
	case "compress":
		return s.compress(c)
	}
	if err := parse(s.parserOf(c.Name, data), s.Args, help, new(bool)); err != nil {
		return nil, err
	}
	if text, err := all.text(c.Name, program); text != "" || err != nil {
		return nil, cmp.Or(err, error(&Info{text}))
	}
	given := slices.Concat(all.Top.Admin, all.Status.Admin, []Admin{cmp.Or(all.Reload.Admin, all.Stop.Admin, all.Scale.Admin)})
	if len(all.Top.Admin)+len(all.Status.Admin) > 1 {
		c.Nodes = given[:len(given)-1]
	}
	var err error
	if c.Admin, err = s.endpoint(given[0]); err != nil {
		return nil, err
	}
	c.TokenFile = string(cmp.Or(all.Top.Token, all.Status.Token, all.Reload.Token, all.Stop.Token, all.Scale.Token, File(s.Getenv("PHALANX_ADMIN_TOKEN_FILE"))))
	c.JSON, c.Interval, c.Workers = all.Status.JSON, time.Duration(all.Top.Interval), int(all.Scale.Args.N)
	return c, nil
}

// text returns the output of a command that only prints a text, "" for other commands.
func (c *commands) text(command, program string) (string, error) {
	switch command {
	case "help":
		return topicHelp(program, string(c.Help.Args.Topic))
	case "version":
		return versionInfo().Text, nil
	case "man":
		return manual(program), nil
	case "completion":
		return script(c.Completion.Args.Shell, program), nil
	}
	return "", nil
}

// scaled is a number of workers, at least one.
type scaled int

func (s *scaled) UnmarshalFlag(v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	switch {
	case err == nil && n == 0:
		return invalid(v, "must be 1 to 1024; the command stop ends the server")
	case err != nil || n > MaxWorkers:
		return invalid(v, "must be the number of workers, 1 to 1024")
	}
	*s = scaled(n)
	return nil
}

// explain parses the command explain.
func (s Start) explain(c *Command) (*Command, error) {
	var e explainCommand
	var err error
	if c.Options, _, err = s.serving(c.Name, &e, &e.line); err != nil {
		return nil, err
	}
	c.URL, c.Method, c.Header, c.From = e.Args.URL, e.Method, e.Request, e.From
	return c, nil
}

// config returns the effective options, or a sample file, as an [*Info].
func (s Start) config(program string) error {
	var c configCommand
	o, from, err := s.serving("config", &c, &c.line)
	if err != nil {
		return err
	}
	if c.Sample {
		return &Info{sample(program)}
	}
	return &Info{effective(o, from)}
}

// parserOf returns the parser of a command, which does not have the server's flags.
func (s Start) parserOf(command string, data any) *flags.Parser {
	p := newParser(s.Name, data)
	p.Usage, p.LongDescription = tag(command, "usage"), tag(command, "long-description")
	return p
}

// endpoint returns the admin endpoint of the flag, or else of the variable.
func (s Start) endpoint(given Admin) (Admin, error) {
	if given != "" {
		return given, nil
	}
	v := s.Getenv("PHALANX_ADMIN")
	if v == "" {
		return "", usage("no server given; use the --admin ADDR that it was started with, or set PHALANX_ADMIN; see '" + s.Name + " --help'")
	}
	var a Admin
	if err := a.UnmarshalFlag(v); err != nil {
		return "", usage("PHALANX_ADMIN" + err.Error())
	}
	return a, nil
}
