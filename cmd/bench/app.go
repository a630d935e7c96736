package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// The app is as cheap as a program with a goroutine for each connection can be,
// so that what is left of the processors goes to the proxy that is measured. It
// answers
//
//	GET  /ws       a WebSocket that says everything again
//	GET  /down/N   N bytes
//	POST …         a few bytes, after the whole body
//	GET  …         a few bytes
const (
	pathSocket   = "/ws"
	pathDownload = "/down/"
)

const smallBody = `{"room":7,"seat":1,"coins":120}`

func playApp(_ []byte, ended <-chan struct{}) error {
	l, err := announce(ended)
	if err != nil {
		return err
	}
	small := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), len(smallBody), smallBody)
	for {
		c, err := l.Accept()
		if err != nil {
			return unlessEnded(err)
		}
		go func() {
			defer c.Close()
			serveApp(c, small)
		}()
	}
}

// request is what the app wants to know of one.
type request struct {
	path      string // empty for a small reply
	length    int64
	socketKey string
}

func serveApp(c net.Conn, small []byte) {
	in := bufio.NewReader(c)
	for {
		r, err := readRequest(in)
		if err != nil {
			return
		}
		if r.length > 0 {
			if _, err := io.CopyN(io.Discard, in, r.length); err != nil {
				return
			}
		}
		switch {
		case r.path == pathSocket && r.socketKey != "":
			if _, err := c.Write(acceptSocket(r.socketKey)); err == nil {
				echo(c, in)
			}
			return
		case r.path != "" && r.path != pathSocket:
			n, err := strconv.ParseInt(strings.TrimPrefix(r.path, pathDownload), 10, 64)
			if err != nil || download(c, n) != nil {
				return
			}
		default:
			if _, err := c.Write(small); err != nil {
				return
			}
		}
	}
}

var (
	socketPath = []byte("GET " + pathSocket)
	downPath   = []byte("GET " + pathDownload)
)

// readRequest reads a request's header. An error ends the connection: here that
// is an end, or a body whose length nobody tells.
func readRequest(in *bufio.Reader) (r request, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return r, err
	}
	if bytes.HasPrefix(line, socketPath) || bytes.HasPrefix(line, downPath) {
		r.path = string(bytes.Fields(line)[1])
	}
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return r, err
		}
		if len(line) <= 2 {
			return r, nil
		}
		// The first byte tells most lines from the few that matter.
		switch line[0] | 0x20 {
		case 'c':
			if value, ok := field(line, "content-length:"); ok {
				if r.length, err = strconv.ParseInt(value, 10, 64); err != nil {
					return r, err
				}
			}
		case 't':
			if _, ok := field(line, "transfer-encoding:"); ok {
				return r, errors.New("a body without a length")
			}
		case 's':
			if value, ok := field(line, "sec-websocket-key:"); ok {
				r.socketKey = value
			}
		}
	}
}

// field returns the value of a header line with this name, which ends in a
// colon and is lower-case.
func field(line []byte, name string) (value string, ok bool) {
	if len(line) < len(name) || !strings.EqualFold(string(line[:len(name)]), name) {
		return "", false
	}
	return string(bytes.TrimSpace(line[len(name):])), true
}

// blockSize is what large bodies are written and read by.
const blockSize = 256 << 10

func download(c net.Conn, n int64) error {
	if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", n); err != nil {
		return err
	}
	return writeBlocks(c, n)
}

func writeBlocks(w io.Writer, n int64) error {
	block := make([]byte, min(n, blockSize))
	for n > 0 {
		wrote, err := w.Write(block[:min(n, int64(len(block)))])
		if err != nil {
			return err
		}
		n -= int64(wrote)
	}
	return nil
}
