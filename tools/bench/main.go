// Command bench measures Phalanx and writes the report. It wires the packages
// of tools/internal together: what to measure comes from plan, how from
// measure, and what it means from report.
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

// place is where things are.
type place struct {
	Results string `long:"results" value-name:"DIR" default:"results" description:"where the report and its raw data are; a quick look goes to its folder quick"`
}

// scope is what every measuring command takes.
type scope struct {
	place
	Seconds     int                 `long:"seconds" value-name:"N" default:"60" description:"length of one siege; the other loads follow from it; up to 5, fewer cells and one round"`
	Base        string              `long:"base" value-name:"DIR" default:"site" description:"the website whose index.html is asked for"`
	Bin         string              `long:"bin" value-name:"DIR" default:"bin" description:"where master, worker and the built tools are"`
	Port        int                 `long:"port" value-name:"N" default:"18080" description:"TCP port of the servers"`
	Experiments []record.Experiment `long:"experiment" value-name:"NAME" description:"only this one (siege, keepalive, close, rate, progress, startstop, download, slow, idle, tls, tls-full, tls-resumed, tls-download, tls-idle, tls-h2-1, tls-h2-10, tls-h2-100, size, size-close, tls-size, tls-size-close, kill, killclose, reload); repeat for more"`
	Servers     []string            `long:"server" value-name:"NAME" description:"only this model or peer; repeat for more"`
	Levels      []int               `long:"level" value-name:"N" description:"only so many users or connections; repeat for more"`
	Clients     []int               `long:"clients" value-name:"N" description:"only so many clients of downloads; repeat for more"`
	Rates       []int               `long:"rate" value-name:"N" description:"only so many requests per second; repeat for more"`
	Workers     []int               `long:"workers" value-name:"N" description:"only so many workers to start and stop; repeat for more"`
	Sizes       []int               `long:"size" value-name:"KIB" description:"only files of so many KiB; repeat for more"`
	Rounds      int                 `long:"rounds" value-name:"N" description:"rounds of each cell"`
}

// quick is up to how many seconds a run has fewer cells, so that it takes less than three
// minutes.
const quick = 5

func (s scope) plan() plan.Scope {
	return plan.Scope{
		Experiments: s.Experiments, Servers: s.Servers, Levels: s.Levels, Clients: s.Clients,
		Rates: s.Rates, Workers: s.Workers, Sizes: s.Sizes, Rounds: s.Rounds, Quick: s.Seconds <= quick,
	}
}

// whole reports whether nothing was left out, so that the report may stand
// for the project.
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
		fmt.Fprintln(stderr, "bench: interrupted; the same command continues from here")
		return 130
	}
	fmt.Fprintf(stderr, "bench: %v\n", err)
	return 1
}
