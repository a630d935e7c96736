// Command wxgate puts WeChat login in front of a web app that knows nothing of it: a reverse proxy that logs visitors
// in, remembers them, and tells the app who is asking in headers that the app can verify.
//
// It is configured by the environment alone; `wxgate config` shows what it understood. This package owns the
// configuration, the commands and the wiring, and nothing of the request path, which is package proxy's.
//
// Exit codes: 0 all went well, 1 something failed while running, 2 the configuration or the command line is wrong.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// command is one of the words after wxgate. A command without flags takes no arguments at all.
type command struct {
	name, summary string
	flags         bool
	run           func(args []string, stdout, stderr io.Writer) int
}

var commands = []command{
	{name: "serve", summary: "run the gateway from the environment (what wxgate does without a command)", run: runServe},
	{name: "demo", summary: "try everything with simulated WeChat and Yunxin; nothing to configure", flags: true, run: demo},
	{name: "config", summary: "check the environment and print the effective configuration, secrets masked", run: printConfig},
	{name: "keygen", summary: "print a fresh key for WXGATE_SECRETS", run: keygen},
	{name: "healthcheck", summary: "ask the running gateway whether it lives, for container health checks", run: healthcheck},
	{name: "version", summary: "print version, commit and Go version", run: printVersion},
}

func run(args []string, stdout, stderr io.Writer) int {
	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return exitOK
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		if len(args) > 0 && !c.flags {
			return refuse(c, args[0], stdout, stderr)
		}
		return c.run(args, stdout, stderr)
	}
	fmt.Fprintf(stderr, "wxgate: unknown command %q\n\n", name)
	usage(stderr)
	return exitUsage
}

// refuse answers arguments of a command that takes none; asking for help is not a mistake.
func refuse(c command, arg string, stdout, stderr io.Writer) int {
	switch arg {
	case "-h", "-help", "--help":
		fmt.Fprintf(stdout, "usage: wxgate %s\n\n%s\n", c.name, c.summary)
		return exitOK
	}
	fmt.Fprintf(stderr, "wxgate: %s takes no arguments; everything is configured by the environment\n", c.name)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: wxgate [command]\n\ncommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nwxgate reads its configuration from environment variables that begin with WXGATE_;\nthe README lists them.\n")
}

// runServe is the gateway until SIGTERM or SIGINT. A second signal ends it without draining.
func runServe(_ []string, _, stderr io.Writer) int {
	cfg, err := loadConfig()
	if err != nil {
		return reportFaults(stderr, err)
	}
	logger := newLogger(stderr, cfg)
	for _, w := range cfg.warnings() {
		logger.Warn("configuration: " + w)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the first signal on the next one is the system's to handle, and that before anybody can see that we stop.
	if err := serve(ctx, cfg, logger, &serveOptions{stopping: stop}); err != nil {
		logger.Error("wxgate ended", "error", err)
		return exitFailure
	}
	return exitOK
}

func newLogger(w io.Writer, cfg *config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel.Value}
	if cfg.LogFormat.Value == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(newJSONLog(w, options))
}

// printConfig shows what serve would run with, or all that keeps it from starting.
func printConfig(_ []string, stdout, stderr io.Writer) int {
	cfg, err := loadConfig()
	if err != nil {
		return reportFaults(stderr, err)
	}
	for _, w := range cfg.warnings() {
		fmt.Fprintln(stderr, "warning:", w)
	}
	cfg.print(stdout)
	return exitOK
}

func reportFaults(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "wxgate: the configuration has faults:\n%v\n", err)
	return exitUsage
}
