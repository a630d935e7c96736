package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// client is a connection of the generator. It reads into one buffer and looks
// at nothing of a reply but its status and its length: what it spends is not
// there for the proxy.
type client struct {
	conn       net.Conn
	in, out    []byte
	head, rest string // around the cookie
	varies     bool
}

// fill returns the bytes of the next request.
func (g *generator) fill(c *client) []byte {
	if c.varies && len(g.cookies) > 0 {
		c.out = append(c.out[:0], c.head...)
		c.out = append(c.out, g.cookies[pick(len(g.cookies))]...)
		c.out = append(c.out, c.rest...)
	}
	return c.out
}

// pick draws one of n. Half of all draws fall on the first hundredth: some
// visitors are busy, most are not.
func pick(n int) int {
	if rand.IntN(2) == 0 {
		n = (n + 99) / 100
	}
	return rand.IntN(n)
}

// exchange sends a request and reads the whole reply, which has to have this
// status.
func (c *client) exchange(request []byte, status int) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	have, want := 0, 0 // bytes of the reply; want is known once the header is
	for {
		n, err := c.conn.Read(c.in[have:])
		if err != nil {
			return err
		}
		have += n
		if want == 0 {
			got := 0
			if got, want, err = replySize(c.in[:have]); err != nil {
				return err
			}
			if want != 0 && got != status {
				return fmt.Errorf("status %d instead of %d: %.300q", got, status, c.in[:have])
			}
		}
		switch {
		case want > 0 && have == want:
			return nil
		case want > 0 && have > want:
			return fmt.Errorf("%d bytes after the end of a reply", have-want)
		case have == len(c.in):
			return fmt.Errorf("a reply of more than %d bytes", have)
		}
	}
}

var headerEnd = []byte("\r\n\r\n")

// replySize reads a reply's status and its size with the header; 0 while the
// header is not whole.
func replySize(b []byte) (status, size int, err error) {
	end := bytes.Index(b, headerEnd)
	if end < 0 {
		return 0, 0, nil
	}
	header := b[:end+2]
	if len(header) < len("HTTP/1.1 200\r\n") {
		return 0, 0, fmt.Errorf("no reply: %.100q", b)
	}
	if status, err = strconv.Atoi(string(header[9:12])); err != nil {
		return 0, 0, fmt.Errorf("no reply: %.100q", b)
	}
	for {
		next := bytes.IndexByte(header, '\n')
		if next < 0 {
			return 0, 0, fmt.Errorf("a reply without Content-Length: %.300q", b)
		}
		if header = header[next+1:]; len(header) == 0 || header[0]|0x20 != 'c' {
			continue
		}
		line := header
		if i := bytes.IndexByte(line, '\r'); i >= 0 {
			line = line[:i]
		}
		if value, ok := field(line, "content-length:"); ok {
			n, err := strconv.Atoi(value)
			return status, end + len(headerEnd) + n, err
		}
	}
}
