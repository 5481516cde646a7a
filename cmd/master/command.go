package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/exitcode"
	"phalanx/internal/explain"
	"phalanx/internal/logging"
	"phalanx/internal/observe/address"
	"phalanx/internal/observe/remote"
	"phalanx/internal/observe/status"
	"phalanx/internal/observe/top"
	"phalanx/internal/options"
	"phalanx/internal/readme"
	"phalanx/internal/website"
)

// command runs the command named by the first argument.
func command(c *options.Command, stdin, stdout, stderr *os.File) error {
	switch c.Name {
	case "explain":
		return runExplain(c, stdout)
	case "compress":
		return runCompress(c, stdout, stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	t, err := adminToken(c.TokenFile)
	if err != nil {
		return err
	}
	clientOf := func(admin options.Admin) *remote.Client {
		client := remote.New(address.Address(admin))
		client.Authorize(t)
		return client
	}
	watched := c.Name == "top" && term.IsTerminal(int(stdin.Fd())) && term.IsTerminal(int(stdout.Fd())) && canMove(os.Getenv("TERM"))
	view := top.Options{Environ: os.Environ(), Refresh: c.Interval}
	if len(c.Nodes) > 0 {
		nodes := make([]top.Node, len(c.Nodes))
		for i, admin := range c.Nodes {
			nodes[i] = top.Node{Name: string(admin), Source: clientOf(admin)}
		}
		if watched {
			return top.RunNodes(ctx, nodes, stdin, stdout, view)
		}
		return showNodes(ctx, nodes, stdout, c.JSON)
	}
	client := clientOf(c.Admin)
	switch c.Name {
	case "reload":
		return order(stdout)(client.Reload(ctx))
	case "stop":
		return order(stdout)(client.Stop(ctx))
	case "scale":
		return order(stdout)(client.Scale(ctx, c.Workers))
	}
	if watched {
		return top.Run(ctx, client, stdin, stdout, view)
	}
	return show(ctx, client, stdout, c.JSON)
}

// canMove reports whether a terminal supports cursor movement.
func canMove(kind string) bool { return kind != "" && kind != "dumb" }

// show prints a snapshot of the pool.
func show(ctx context.Context, client *remote.Client, stdout *os.File, json bool) error {
	pool, err := client.Pool(ctx)
	switch {
	case err != nil:
		return err
	case json:
		return top.JSON(stdout, pool)
	}
	_, err = fmt.Fprint(stdout, top.Snapshot(pool, logging.Width(stdout)))
	return err
}

// showNodes prints a snapshot of several servers. A server that cannot be reached is an error.
func showNodes(ctx context.Context, nodes []top.Node, stdout *os.File, json bool) error {
	statuses := top.QueryAll(ctx, nodes)
	var err error
	if json {
		err = top.NodesJSON(stdout, statuses)
	} else {
		_, err = fmt.Fprint(stdout, top.NodesSnapshot(statuses, logging.Width(stdout)))
	}
	return cmp.Or(err, top.Unreachable(statuses))
}

// order prints the outcome of an order; a failed one is an error.
func order(stdout *os.File) func(status.Outcome, error) error {
	return func(o status.Outcome, err error) error {
		switch {
		case err != nil:
			return err
		case !o.OK:
			return errors.New(o.Message)
		}
		_, err = fmt.Fprintln(stdout, o.Message)
		return err
	}
}

// runExplain prints how a request would be served, and why.
func runExplain(c *options.Command, stdout *os.File) error {
	request, err := explain.NewRequest(c.Method, c.URL, c.Header)
	if err != nil {
		return err
	}
	request.From, _ = clientip.Parse(string(c.From))
	o, err := options.CheckSites(c.Options)
	if err != nil {
		return err
	}
	sites, err := openSites(o)
	if err != nil {
		return err
	}
	defer sites.Close()
	if err := useCache(sites, o); err != nil {
		return err
	}
	for _, root := range sites.All() {
		root.Render = readme.HTML
	}
	cfg := website.Config(o)
	sites.Configure(&cfg, website.Uncached)
	if p := website.NewPasswords(o); p != nil {
		cfg.Passwords = p
	}
	if err := byHTTPS(o, &cfg, &request); err != nil {
		return err
	}
	report, err := explain.Run(cfg, sites.Roots, request, time.Now())
	if err != nil {
		return err
	}
	switch {
	case report.Site > 0:
		report.Base = string(o.Site[report.Site-1].Dir)
	case report.Site == 0:
		report.Base = string(o.Base)
	}
	_, err = fmt.Fprint(stdout, report)
	return err
}

// byHTTPS completes the configuration with what a worker knows about HTTPS. A request given by
// path uses HTTPS if there is no plain HTTP address.
func byHTTPS(o options.Options, cfg *conn.Config, r *explain.Request) error {
	var ports []int
	plain := false
	for _, a := range o.Addresses() {
		switch {
		case a.Secure:
			ports = append(ports, a.Port)
		default:
			plain = true
		}
	}
	cfg.SecurePort = uint16(o.Plain.SecurePort(ports))
	switch {
	case r.Scheme == "https" && len(ports) == 0:
		return exitcode.New(exitcode.Usage, "URL: no HTTPS address; add --listen https://:443, or give the URL with http://", nil)
	case r.Scheme == "" && !plain:
		r.Scheme = "https"
	}
	return nil
}

// useCache makes sites use copies and digests in the cache directory, if it exists. None are
// made.
func useCache(sites *website.Sites, o options.Options) error {
	dir := -1 // like an empty directory
	if path := string(o.CacheDir); o.Caches() {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			dir = fd
		} else if err != unix.ENOENT {
			return badCache(path, err.Error(), "run explain as the user of the server", err)
		}
	}
	website.UseCache(sites, o, dir, website.Asks{})
	return nil
}
