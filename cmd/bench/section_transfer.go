package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// transfer is one large body through one proxy.
type transfer struct {
	name string
	run  func(conn net.Conn, host, cookie string, n int64) error
}

var transfers = []transfer{{"download", fetchLarge}, {"upload", sendLarge}}

// measureTransfer moves one large body each way, through the gateway and through
// the stock ReverseProxy in turn.
func measureTransfer(s *stage, r *report) error {
	gate, err := s.startGateway()
	if err != nil {
		return err
	}
	defer gate.stop()
	stock, err := s.startTuned()
	if err != nil {
		return err
	}
	defer stock.stop()
	if err := s.pause(settle); err != nil {
		return err
	}
	idle, _ := resident(gate.pid)
	speeds := map[string][]float64{}
	for range min(s.rounds, 3) {
		for _, t := range transfers {
			for _, p := range []*process{gate, stock} {
				took, err := s.move(p, t)
				if err != nil {
					return fmt.Errorf("%s through %s: %w", t.name, p.name, err)
				}
				speeds[t.name+p.name] = append(speeds[t.name+p.name], float64(s.size)/1e6/took.Seconds())
			}
		}
	}
	for _, t := range transfers {
		ours, theirs := speeds[t.name+gate.name], speeds[t.name+stock.name]
		r.goal(fmt.Sprintf("%s of %s, MB/s of the tuned ReverseProxy's", t.name, amount(s.size)),
			fmt.Sprintf("%s (%.0f, %.0f)", times(ratio(ours, theirs)), median(ours), median(theirs)), "at least 0.90 ×")
	}
	if accounted {
		_, peak := resident(gate.pid)
		_, other := resident(stock.pid)
		r.goal("… resident memory at its largest, of the gateway", fmt.Sprintf("%s (idle %s)", megabytes(float64(peak)), megabytes(float64(idle))), "flat")
		r.goal("… of the tuned ReverseProxy", megabytes(float64(other)), "")
	}
	return nil
}

func (s *stage) move(p *process, t transfer) (time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(s.ctx, "tcp", p.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	// A proxy that stops in the middle must not hold the run up for ever.
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	began := time.Now()
	err = t.run(conn, p.addr, s.cookie, s.size)
	return time.Since(began), err
}

func fetchLarge(conn net.Conn, host, cookie string, n int64) error {
	if _, err := fmt.Fprintf(conn, "GET %s%d HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", pathDownload, n, host, cookie); err != nil {
		return err
	}
	block := make([]byte, blockSize)
	got, err := readHeader(conn, block)
	if err != nil {
		return err
	}
	for got < n {
		m, err := conn.Read(block)
		if err != nil {
			return err
		}
		got += int64(m)
	}
	if got > n {
		return errors.New("more bytes came than the app has sent")
	}
	return nil
}

func sendLarge(conn net.Conn, host, cookie string, n int64) error {
	if _, err := fmt.Fprintf(conn, "POST /up HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nContent-Type: application/octet-stream\r\nCookie: %s\r\n\r\n", host, n, cookie); err != nil {
		return err
	}
	if err := writeBlocks(conn, n); err != nil {
		return err
	}
	_, err := readHeader(conn, make([]byte, blockSize))
	return err
}

// readHeader reads a reply's header, which has to say 200, and returns how many
// bytes of the body came with it.
func readHeader(in io.Reader, block []byte) (body int64, err error) {
	have := 0
	for {
		n, err := in.Read(block[have:])
		if err != nil {
			return 0, err
		}
		have += n
		if end := bytes.Index(block[:have], headerEnd); end >= 0 {
			if !bytes.HasPrefix(block, []byte("HTTP/1.1 200 ")) {
				return 0, fmt.Errorf("the answer was %.200q", block[:end])
			}
			return int64(have - end - len(headerEnd)), nil
		}
		if have == len(block) {
			return 0, errors.New("a header without an end")
		}
	}
}

// amount writes a size in bytes as people say it.
func amount(n int64) string {
	if n%(1<<30) == 0 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
