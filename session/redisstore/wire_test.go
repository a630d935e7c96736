package redisstore_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// wire is a server that speaks just enough of Redis's protocol to misbehave in it.
type wire struct {
	addr string
	port int

	mu   sync.Mutex
	seen []string // the commands' names, lower case
}

// startWire answers each command with what answer returns, in wire format. An empty answer closes the connection.
func startWire(t *testing.T, answer func(args []string) string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: listener.Addr().String(), port: listener.Addr().(*net.TCPAddr).Port}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			serving.Go(func() { w.serve(conn, answer) })
		}
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { listener.Close() })
	return w
}

func (w *wire) serve(conn net.Conn, answer func([]string) string) {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		args, err := readCommand(in)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.seen = append(w.seen, strings.ToLower(args[0]))
		w.mu.Unlock()
		reply := answer(args)
		if reply == "" {
			return
		}
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

func (w *wire) count(command string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range w.seen {
		if name == command {
			n++
		}
	}
	return n
}

func readCommand(in *bufio.Reader) (args []string, err error) {
	number := func(mark byte) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line[0] != mark {
			return 0, fmt.Errorf("%q instead of %q", line, mark)
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number('*')
	for ; err == nil && n > 0; n-- {
		size, err := number('$')
		if err != nil {
			return nil, err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(in, arg); err != nil {
			return nil, err
		}
		args = append(args, string(arg[:size]))
	}
	return args, err
}

const noHello = "-ERR unknown command 'HELLO'\r\n"

// clusterOf makes an answer that of a cluster with one node.
func clusterOf(w **wire, answer func([]string) string) func([]string) string {
	return func(args []string) string {
		if strings.EqualFold(args[0], "cluster") {
			return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n", (*w).port)
		}
		return answer(args)
	}
}
