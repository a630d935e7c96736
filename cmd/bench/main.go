package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	// What is started goes with the thread that started it (see goWith), so this
	// one has to last.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the flags say.
type options struct {
	rounds  int
	span    time.Duration // of one load
	warm    time.Duration // of what comes before it and is not counted
	conns   int
	only    []string
	wxgate  string
	load    string
	sockets int // of the memory of one
	crowd   int // of the idle ones beside requests
	people  int // sessions in the store
	size    int64
}

// section is a part of the run that can be chosen with -only.
type section struct {
	name, about string
	run         func(*stage, *report) error
}

var sections = []section{
	{"cpu", "CPU per request, throughput, latency and memory beside the peers", measureRequests},
	{"start", "time until ready, and memory of an idle gateway", measureStart},
	{"redirect", "a page visit without a session", measureRedirect},
	{"sockets", "memory of an idle WebSocket", measureSockets},
	{"crowd", "requests beside many idle WebSockets", measureCrowd},
	{"transfer", "one large download and upload", measureTransfer},
	{"login", "store round trips and time of a login (needs redis-server)", measureLogin},
	{"sessions", "store reads of many sessions (needs redis-server)", measureSessions},
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "how often each measurement is repeated; the median counts")
	flags.DurationVar(&o.span, "time", 2*time.Second, "how long one load lasts")
	flags.DurationVar(&o.warm, "warm", 500*time.Millisecond, "how long each load runs before it is counted")
	flags.IntVar(&o.conns, "conns", 64, "keep-alive connections of a load")
	flags.StringVar(&only, "only", "", "comma-separated `sections` to run, of: "+sectionNames()+" (default all)")
	flags.StringVar(&o.wxgate, "wxgate", "", "`file` of a gateway to measure instead of building ./cmd/wxgate")
	flags.StringVar(&o.load, "load", "", "`command` that makes the load of the section cpu instead of the built-in one, with {url}, {cookie}, {conns} and {seconds}; it must print as wrk --latency does")
	flags.IntVar(&o.sockets, "sockets", 2000, "WebSockets for the memory of one")
	flags.IntVar(&o.crowd, "crowd", 10_000, "idle WebSockets beside requests")
	flags.IntVar(&o.people, "sessions", 100_000, "sessions in the store")
	flags.Int64Var(&o.size, "size", 1<<30, "`bytes` of the large download and upload")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.rounds < 1 || o.conns < 1 || o.sockets < 1 || o.crowd < 1 || o.people < 1 || o.size < 1 || o.span <= 0 || o.warm < 0 {
		return o, errors.New("all numbers and times must be above zero")
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			return o, fmt.Errorf("-only: there is no section %q; there are %s", name, sectionNames())
		}
	}
	return o, nil
}

func sectionNames() string {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return exitUsage
	}
	if err := bench(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailure
	}
	return exitOK
}

// bench runs the chosen sections and prints what they found. A section that
// fails becomes a note, and the others go on: half a table is worth more than
// none after minutes. The error then comes at the end.
func bench(ctx context.Context, o options, stdout, stderr io.Writer) error {
	s, err := newStage(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	r := &report{machine: machine()}
	var failed []error
	for _, section := range sections {
		if len(o.only) > 0 && !slices.Contains(o.only, section.name) {
			continue
		}
		s.say("%s: %s", section.name, section.about)
		err := section.run(s, r)
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted; everything that was started is stopped")
		case errors.Is(err, errNeedsRedis):
			r.note("%s is left out: redis-server is not on PATH.", section.name)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", section.name, err))
			r.note("%s failed and is left out.", section.name)
		}
	}
	r.print(stdout)
	return errors.Join(failed...)
}
