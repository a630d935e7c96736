package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// patience bounds every wait for something that has to come.
const patience = 30 * time.Second

// command is what to start.
type command struct {
	name  string
	path  string
	args  []string
	env   []string // nil: our own
	talks bool     // its standard input stays open, its output is read as lines
	log   string   // file for its standard error; none: kept for error messages
}

// process is something that was started. It is killed at the end of the run at
// the latest.
type process struct {
	name    string
	addr    string // where it listens
	pid     int
	cmd     *exec.Cmd
	stdin   io.Closer
	stdout  io.Closer
	lines   *bufio.Reader
	said    tail
	started time.Time
	exited  chan struct{}
}

// start starts a program under the run's context.
func (s *stage) start(c command) (*process, error) {
	p := &process{name: c.name, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(s.ctx, c.path, c.args...)
	p.cmd.Env = c.env
	p.cmd.Dir = s.dir
	p.cmd.Stderr = &p.said
	// What inherited the pipes must not keep us waiting for their end.
	p.cmd.WaitDelay = time.Second
	if c.log != "" {
		f, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		p.cmd.Stderr = f
	}
	if c.talks {
		in, err := p.cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		// Not StdoutPipe, which loses what was not read when the process ends.
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer write.Close()
		p.stdin, p.stdout, p.lines, p.cmd.Stdout = in, read, bufio.NewReader(read), write
	} else {
		p.cmd.Stdout = &p.said
	}
	goWith(p.cmd)
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	s.processes = append(s.processes, p)
	return p, nil
}

// stop kills the process, if it still runs, and waits for its end.
func (p *process) stop() {
	p.cmd.Process.Kill()
	<-p.exited
	if p.stdout != nil {
		p.stdout.Close()
	}
}

// line reads what a role says next.
func (p *process) line() (string, error) {
	text, err := p.lines.ReadString('\n')
	if err != nil {
		return "", p.fault(errors.New("it ended"))
	}
	return strings.TrimSpace(text), nil
}

// listening waits until somebody accepts connections at the address.
func (p *process) listening(ctx context.Context) error {
	return p.await(ctx, 5*time.Millisecond, func() bool {
		c, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// await asks every so often whether the process has come to where it should be.
func (p *process) await(ctx context.Context, every time.Duration, ok func() bool) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-p.exited:
			return p.fault(errors.New("it ended at its start"))
		case <-limit:
			return p.fault(fmt.Errorf("it was not ready within %s", patience))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// fault adds to an error what the process said last.
func (p *process) fault(err error) error {
	if said := p.said.String(); said != "" {
		return fmt.Errorf("%s: %w; it said: %s", p.name, err, said)
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if extra := len(t.b) - tailSize; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
