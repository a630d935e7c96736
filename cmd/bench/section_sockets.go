package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// socketSettings are for a process that holds WebSockets open.
type socketSettings struct {
	Addr    string
	Request string
	N       int
}

// playSockets opens WebSockets, says something on each, hears it again, and
// holds them. It prints a line when all are open, and at its end how many were
// lost in between.
func playSockets(settings []byte, ended <-chan struct{}) error {
	var c socketSettings
	if err := json.Unmarshal(settings, &c); err != nil {
		return err
	}
	var lost, left atomic.Int64
	left.Store(int64(c.N))
	failed := make(chan error, 1)
	var opening sync.WaitGroup
	for range 64 {
		opening.Go(func() {
			for left.Add(-1) >= 0 && len(failed) == 0 {
				conn, err := openSocket(c)
				if err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
				go func() {
					// Nothing comes any more but an end.
					conn.Read(make([]byte, 1))
					lost.Add(1)
				}()
			}
		})
	}
	opening.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Println("open")
	<-ended
	fmt.Println(lost.Load())
	return nil
}

func openSocket(c socketSettings) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", c.Addr, patience)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	err = greet(conn, c.Request)
	conn.SetDeadline(time.Time{})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// greet upgrades a connection and exchanges one message.
func greet(conn net.Conn, request string) error {
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 1<<10)
	status, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if len(status) < 12 || status[9:12] != "101" {
		return fmt.Errorf("no WebSocket: %q", status)
	}
	for line := status; line != "\r\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			return err
		}
	}
	if _, err := conn.Write(maskedText(socketHello)); err != nil {
		return err
	}
	text, err := readText(in)
	if err == nil && string(text) != socketHello {
		err = errors.New("the echo is not what was said")
	}
	return err
}

func socketRequest(host, cookie string) string {
	return "GET " + pathSocket + " HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://" + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: " + cookie + "\r\n\r\n"
}

// openSockets starts a process that holds n WebSockets open through a proxy.
func (s *stage) openSockets(p *process, n int) (*process, error) {
	holder, err := s.startRole("sockets", socketSettings{Addr: p.addr, Request: socketRequest(p.addr, s.cookie), N: n})
	if err != nil {
		return nil, err
	}
	if text, err := holder.line(); err != nil || text != "open" {
		holder.stop()
		return nil, fmt.Errorf("opening %d WebSockets: %w", n, err)
	}
	return holder, nil
}

// socketsAllowed is how many WebSockets one process can proxy, beside a load and
// what it has open anyway.
func (s *stage) socketsAllowed() int { return (raiseFileLimit()-200)/2 - s.conns }

// fewSockets are open before the count begins: the first ones pay for what a
// process grows only once.
const fewSockets = 500

// measureSockets opens WebSockets through fresh proxies and divides what their
// memory grew by.
func measureSockets(s *stage, r *report) error {
	if !accounted {
		r.note("sockets is left out: this system does not tell how much memory other processes use.")
		return nil
	}
	n := min(s.sockets, s.socketsAllowed()-fewSockets)
	if n < 1 {
		return errors.New("the limit of open files is too low; raise it with ulimit -n")
	}
	each := map[string][]float64{}
	for range min(s.rounds, 3) {
		for _, start := range []func() (*process, error){s.startGateway, s.startTuned} {
			if err := s.socketMemory(start, n, each); err != nil {
				return err
			}
		}
	}
	r.goal(fmt.Sprintf("memory of an idle proxied WebSocket after traffic both ways (%d of them)", n), kilobytes(median(each["wxgate"])), "16 KB")
	r.goal("… through the tuned ReverseProxy", kilobytes(median(each[nameTuned])), "")
	return nil
}

func (s *stage) socketMemory(start func() (*process, error), n int, each map[string][]float64) error {
	p, err := start()
	if err != nil {
		return err
	}
	defer p.stop()
	var read [2]int64
	for i, more := range []int{fewSockets, n} {
		holder, err := s.openSockets(p, more)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		defer holder.stop()
		// The last message came back just now; see quiet for what has to follow.
		if err := s.pause(quiet); err != nil {
			return err
		}
		read[i], _ = resident(p.pid)
	}
	each[p.name] = append(each[p.name], float64(read[1]-read[0])/float64(n))
	return nil
}
