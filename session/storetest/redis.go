package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// RequireRedis skips a test on a machine without redis-server, or fails it if WXGATE_TEST_REQUIRE, a comma-separated
// list, names redis.
func RequireRedis(tb testing.TB) (program string) {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err == nil {
		return program
	}
	if slices.Contains(strings.Split(os.Getenv("WXGATE_TEST_REQUIRE"), ","), "redis") {
		tb.Fatalf("WXGATE_TEST_REQUIRE names redis: %v", err)
	}
	tb.Skipf("needs redis-server: %v", err)
	return ""
}

// Redis is a redis-server on a free loopback port with a folder of its own, durable as it should be in production
// (appendonly). It ends with the test.
type Redis struct {
	URL  string // redis://127.0.0.1:PORT
	Addr string
	Dir  string

	tb      testing.TB
	program string
	args    []string
	output  logBuffer
	command *exec.Cmd
	exited  chan struct{}
}

// StartRedis starts a redis-server and waits until it answers. More arguments are those of redis-server, for example
// "--requirepass", "secret". See RequireRedis for machines that have none.
func StartRedis(tb testing.TB, args ...string) *Redis {
	tb.Helper()
	program := RequireRedis(tb)
	dir := tb.TempDir()
	var r *Redis
	for attempt := 0; ; attempt++ {
		port := freePort(tb)
		r = &Redis{
			URL:     "redis://127.0.0.1:" + port,
			Addr:    "127.0.0.1:" + port,
			Dir:     dir,
			tb:      tb,
			program: program,
			args: append([]string{
				"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no",
				"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
			}, args...),
		}
		err := r.start()
		if err == nil {
			break
		}
		// Somebody else may have taken the port between the look and the start.
		if attempt == 3 || !strings.Contains(r.output.String(), "in use") {
			tb.Fatalf("start redis-server: %v\n%s", err, r.output.String())
		}
	}
	tb.Cleanup(r.Stop)
	return r
}

// Stop kills the server, as a crash would. It may be started again with Restart.
func (r *Redis) Stop() {
	if r.command == nil {
		return
	}
	r.command.Process.Kill()
	<-r.exited
	r.command = nil
}

// Restart starts the server again after Stop, on the same port with what it has kept.
func (r *Redis) Restart() {
	r.tb.Helper()
	r.Stop()
	if err := r.start(); err != nil {
		r.tb.Fatalf("restart redis-server: %v\n%s", err, r.output.String())
	}
}

func (r *Redis) start() error {
	r.command = exec.Command(r.program, r.args...)
	r.command.Stdout, r.command.Stderr = &r.output, &r.output
	if err := r.command.Start(); err != nil {
		r.command = nil
		return err
	}
	exited := make(chan struct{})
	r.exited = exited
	command := r.command
	go func() {
		command.Wait()
		close(exited)
	}()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(20 * time.Second)
	for !answers(r.Addr) {
		select {
		case <-again.C:
		case <-exited:
			r.command = nil
			return errors.New("it ended")
		case <-deadline:
			r.Stop()
			return errors.New("it does not answer")
		}
	}
	return nil
}

// answers says whether a Redis has loaded its data: it answers a PING, with a demand for the password at least.
func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return false
	}
	reply := make([]byte, 64)
	n, _ := conn.Read(reply)
	return bytes.HasPrefix(reply[:n], []byte("+PONG")) || bytes.HasPrefix(reply[:n], []byte("-NOAUTH"))
}

// freePort finds a port whose number plus 10000 is free too: that is where a Redis Cluster node listens for its peers.
func freePort(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10000)))
		a.Close()
		if err == nil {
			b.Close()
			return strconv.Itoa(port)
		}
	}
	tb.Fatal("no free port found")
	return ""
}

// logBuffer keeps what a server prints, for the message of a failure.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
