// Command bench measures Phalanx and writes the report. It only connects the
// packages of tools/internal: plan decides what to measure, measure does it,
// and report interprets the results.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/jessevdk/go-flags"

	"phalanx/tools/internal/plan"
	"phalanx/tools/internal/record"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// place holds the options of every command.
type place struct {
	Results string `long:"results" value-name:"DIR" default:"results" description:"directory of the report and its raw data; partial runs go to its subdirectory quick"`
}

// scope holds the options of the commands that measure.
type scope struct {
	place
	Seconds     int                 `long:"seconds" value-name:"N" default:"60" description:"seconds of one siege; other loads scale with it; 5 or less measures fewer cells, one round each"`
	Base        string              `long:"base" value-name:"DIR" default:"site" description:"website whose index.html is requested"`
	Bin         string              `long:"bin" value-name:"DIR" default:"bin" description:"directory of master, worker and the built tools"`
	Port        int                 `long:"port" value-name:"N" default:"18080" description:"TCP port of the servers"`
	Experiments []record.Experiment `long:"experiment" value-name:"NAME" description:"measure only this experiment (siege, keepalive, close, rate, progress, startstop, download, slow, idle, tls, tls-full, tls-resumed, tls-download, tls-idle, tls-h2-1, tls-h2-10, tls-h2-100, size, size-close, tls-size, tls-size-close, kill, killclose, reload); may be repeated"`
	Servers     []string            `long:"server" value-name:"NAME" description:"measure only this model or peer; may be repeated"`
	Levels      []int               `long:"level" value-name:"N" description:"only this number of users or connections; may be repeated"`
	Clients     []int               `long:"clients" value-name:"N" description:"only this number of download clients; may be repeated"`
	Rates       []int               `long:"rate" value-name:"N" description:"only this number of requests per second; may be repeated"`
	Workers     []int               `long:"workers" value-name:"N" description:"start and stop only this number of workers; may be repeated"`
	Sizes       []int               `long:"size" value-name:"KIB" description:"only files of this size in KiB; may be repeated"`
	Rounds      int                 `long:"rounds" value-name:"N" description:"rounds of each cell"`
}

// quick is the highest --seconds of a quick run, which measures fewer cells and takes less
// than three minutes.
const quick = 5

func (s scope) plan() plan.Scope {
	return plan.Scope{
		Experiments: s.Experiments, Servers: s.Servers, Levels: s.Levels, Clients: s.Clients,
		Rates: s.Rates, Workers: s.Workers, Sizes: s.Sizes, Rounds: s.Rounds, Quick: s.Seconds <= quick,
	}
}

// whole reports whether the run measures everything. Only such runs go into
// the published report; others go to the subdirectory quick.
func (s scope) whole() bool {
	return s.Seconds >= 60 && len(s.Experiments)+len(s.Servers)+len(s.Levels)+len(s.Clients)+len(s.Rates)+len(s.Workers)+len(s.Sizes)+s.Rounds == 0
}

type commands struct {
	Models scope `command:"models" description:"Measure the models against each other and write the report"`
	Peers  scope `command:"peers" description:"Measure Phalanx against other servers and write the report"`
	Faults scope `command:"faults" description:"Measure what clients notice when workers die or are replaced"`
	Costs  scope `command:"costs" description:"Measure what observability costs the pool"`
	Report place `command:"report" description:"Write the report again from the raw data"`
}

func run(args []string, stdout, stderr *os.File) int {
	var c commands
	parser := flags.NewNamedParser("bench", flags.HelpFlag|flags.PassDoubleDash)
	if _, err := parser.AddGroup("Commands", "", &c); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	if _, err := parser.ParseArgs(args); err != nil {
		if f, ok := errors.AsType[*flags.Error](err); ok && f.Type == flags.ErrHelp {
			fmt.Fprintln(stdout, f.Message)
			return 0
		}
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 64
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	switch parser.Active.Name {
	case "models":
		err = measureAll(ctx, record.Models, c.Models, stderr)
	case "peers":
		err = measureAll(ctx, record.Peers, c.Peers, stderr)
	case "faults":
		err = measureAll(ctx, record.Faults, c.Faults, stderr)
	case "costs":
		err = measureAll(ctx, record.Costs, c.Costs, stderr)
	default:
		err = write(c.Report.Results, stderr)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "bench: interrupted; run the same command to resume")
		return 130
	}
	fmt.Fprintf(stderr, "bench: %v\n", err)
	return 1
}
