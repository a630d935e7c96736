package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wire writes commands as a client sends them.
func wire(commands ...string) string {
	var b strings.Builder
	for _, command := range commands {
		words := strings.Fields(command)
		b.WriteString("*" + strconv.Itoa(len(words)) + "\r\n")
		for _, w := range words {
			b.WriteString("$" + strconv.Itoa(len(w)) + "\r\n" + w + "\r\n")
		}
	}
	return b.String()
}

func TestRequests(t *testing.T) {
	const record, queue = recordKey + "u:1", queueKey + "im"
	sent := wire("GET "+record, "evalsha c0ffee 1 "+queue+" 5", "ping", "Set "+record+" *1$4 nx")
	want := []redisCall{{verb: "get", key: record}, {verb: "evalsha", key: queue}, {verb: "ping"}, {verb: "set", key: record}}
	for size := 1; size <= len(sent); size++ {
		var q requests
		var got []redisCall
		for rest := sent; rest != ""; {
			piece := rest[:min(size, len(rest))]
			rest = rest[len(piece):]
			calls, err := q.feed([]byte(piece))
			if err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
			got = append(got, calls...)
			if whole := rest == "" || strings.HasPrefix(rest, "*") && !strings.HasPrefix(rest, "*1$4"); q.within() == whole {
				t.Errorf("pieces of %d, before %q: within a command: %t", size, rest, q.within())
			}
		}
		if len(got) != len(want) {
			t.Fatalf("pieces of %d: %v", size, got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("pieces of %d: %v instead of %v", size, got[i], want[i])
			}
		}
	}
	// Values may hold line ends, and be empty.
	var q requests
	if calls, err := q.feed([]byte("*3\r\n$3\r\nset\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n")); err != nil || len(calls) != 1 || q.within() {
		t.Errorf("line ends in a value: %v, %v", calls, err)
	}
	for _, sent := range []string{
		"PING\r\n", "*0\r\n", "*-1\r\n", "*x\r\n", "*1\r\n$-1\r\n", "*1\r\n+ok\r\n", "*1\r\n$2\r\nabcd", "*99999999999999999999\r\n",
	} {
		var q requests
		if calls, err := q.feed([]byte(sent)); !errors.Is(err, errNoRequest) {
			t.Errorf("%q: %v, %v", sent, calls, err)
		}
	}
	for _, sent := range []string{"*", "*1\r\n$9223372036854775807\r\nab", "*9223372036854775807\r\n$1\r\n"} {
		var q requests
		if calls, err := q.feed([]byte(sent)); err != nil || len(calls) != 0 || !q.within() {
			t.Errorf("%q: %v, %v", sent, calls, err)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	trip := func(verbs string) (calls []redisCall) {
		for _, verb := range strings.Fields(verbs) {
			calls = append(calls, redisCall{verb: verb})
		}
		return calls
	}
	for _, c := range []struct {
		trips [][]redisCall
		want  string
	}{
		{nil, "0"},
		{[][]redisCall{trip("set"), trip("get"), trip("set set set")}, "3 (set · get · set+set+set)"},
		{[][]redisCall{trip("get set set set set get")}, "1 (get+4×set+get)"},
		{make([][]redisCall, 21), "21"},
	} {
		if got := roundTrips(c.trips); got != c.want {
			t.Errorf("%q instead of %q", got, c.want)
		}
	}
}

// What is sent before a reply is one round trip, and what is not for requests is
// none.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	y, err := newRelay(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer y.stop()
	client, err := net.Dial("tcp", y.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, c := range []net.Conn{client, server} {
		c.SetDeadline(time.Now().Add(patience))
	}
	in := bufio.NewReader(client)
	send := func(text string) {
		t.Helper()
		io.WriteString(client, text)
		if _, err := io.ReadFull(server, make([]byte, len(text))); err != nil {
			t.Fatal(err)
		}
	}
	reply := func() {
		t.Helper()
		io.WriteString(server, "+OK\r\n")
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	const key = recordKey + "u:1"
	send(wire("hello 2", "client setname x"))
	reply()
	send(wire("set " + key + " 1"))
	reply()
	send(wire("zcard " + queueKey + "im"))
	reply()
	send(wire("get " + key)) // several pieces of one pipeline
	pipeline := wire("set "+key+" 2", "ping")
	send(pipeline[:9])
	reply() // to the beginning, while the rest is on its way
	send(pipeline[9:])
	reply()
	send(wire("get " + key))
	trips, err := y.take()
	if got := roundTrips(trips); err != nil || got != "3 (set · get+set · get)" {
		t.Errorf("counted %s, %v", got, err)
	}
	if trips, err := y.take(); err != nil || len(trips) != 0 {
		t.Errorf("taken twice: %v, %v", trips, err)
	}
	reply()
	send("PING\r\n")
	if _, err := y.take(); !errors.Is(err, errNoRequest) {
		t.Errorf("what cannot be read was counted: %v", err)
	}
}
