package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// roleVariable makes this program play a part of the run in a process of its
// own, so that the system accounts for it alone. Its one argument is JSON.
const roleVariable = "BENCH_ROLE"

// roles are the parts. Each ends when ended is closed, which is when standard
// input ends: nobody is left behind by a run that was killed.
var roles = map[string]func(settings []byte, ended <-chan struct{}) error{
	"app":     playApp,
	"stock":   playStock,
	"load":    playLoad,
	"sockets": playSockets,
}

// lastWords is how long a role may take to end.
const lastWords = time.Second

func play(role string, args []string) int {
	part, known := roles[role]
	if !known || len(args) != 1 {
		fmt.Fprintf(os.Stderr, "bench: %s is set to %q, which is for the program's own use; unset it\n", roleVariable, role)
		return exitUsage
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	finished := make(chan error, 1)
	go func() { finished <- part([]byte(args[0]), ended) }()
	var err error
	select {
	case err = <-finished:
	case <-ended:
		select {
		case err = <-finished:
		case <-time.After(lastWords):
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", role+":", err)
		return exitFailure
	}
	return exitOK
}

// startRole starts this program in a role. Variables are added to its
// environment; its standard output is read line by line.
func (s *stage) startRole(role string, settings any, variables ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	return s.start(command{
		name: role, path: exe, args: []string{string(text)}, talks: true,
		env: append(append(os.Environ(), roleVariable+"="+role), variables...),
	})
}

// announce opens a loopback port for a role, tells the parent which, and closes
// it at the end.
func announce(ended <-chan struct{}) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	fmt.Println(l.Addr())
	go func() {
		<-ended
		l.Close()
	}()
	return l, nil
}

// unlessEnded is the error of a listener that was not closed on purpose.
func unlessEnded(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
