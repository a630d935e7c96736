package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

// benchUpstream answers every request of its connections with the same bytes.
func benchUpstream(b *testing.B, reply string) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	answer := []byte(reply)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends when the client closes its connection
				defer c.Close()
				for br := bufio.NewReader(c); ; {
					if line, err := br.ReadSlice('\n'); err != nil {
						return
					} else if len(line) > 2 {
						continue
					}
					c.Write(answer)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// benchKinds runs a benchmark with both transports over loopback.
func benchKinds(b *testing.B, reply string, run func(b *testing.B, rt http.RoundTripper)) {
	for _, k := range []kind{ours, stock} {
		b.Run(k.name, func(b *testing.B) {
			rt := k.build(transport.Config{Network: "tcp", Address: benchUpstream(b, reply), IdleTimeout: time.Hour, MaxIdle: 256, MaxHeader: 64 << 10})
			b.Cleanup(rt.CloseIdleConnections)
			b.ReportAllocs()
			run(b, rt)
		})
	}
}

func benchRequest(b *testing.B) *http.Request {
	req := plainRequest(b, "GET")
	req.Header = http.Header{"User-Agent": {"bench"}, "Accept": {"*/*"}, "Cookie": {"a=b"}, "X-Forwarded-For": {"192.0.2.1"}}
	return req
}

func benchExchange(b *testing.B, rt http.RoundTripper, req *http.Request) {
	res, err := rt.RoundTrip(req)
	if err != nil {
		b.Error(err)
		return
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		b.Error(err)
	}
	res.Body.Close()
}

const benchSmall = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello"

func BenchmarkRoundTrip(b *testing.B) {
	benchKinds(b, benchSmall, func(b *testing.B, rt http.RoundTripper) {
		req := benchRequest(b)
		for b.Loop() {
			benchExchange(b, rt, req)
		}
	})
}

// BenchmarkRoundTripParallel has at least 64 requests under way.
func BenchmarkRoundTripParallel(b *testing.B) {
	benchKinds(b, benchSmall, func(b *testing.B, rt http.RoundTripper) {
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			req := benchRequest(b)
			for pb.Next() {
				benchExchange(b, rt, req)
			}
		})
	})
}

// BenchmarkBody carries large replies.
func BenchmarkBody(b *testing.B) {
	const size = 4 << 20
	var chunked strings.Builder
	chunked.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range size >> 13 {
		fmt.Fprintf(&chunked, "2000\r\n%s\r\n", strings.Repeat("x", 8192))
	}
	chunked.WriteString("0\r\n\r\n")
	for _, c := range []struct{ name, reply string }{
		{"length", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))},
		{"chunked", chunked.String()},
	} {
		b.Run(c.name, func(b *testing.B) {
			benchKinds(b, c.reply, func(b *testing.B, rt http.RoundTripper) {
				b.SetBytes(size)
				req := benchRequest(b)
				for b.Loop() {
					benchExchange(b, rt, req)
				}
			})
		})
	}
}

// BenchmarkReadReply leaves the network out: what remains is our own work on
// a request and its reply.
func BenchmarkReadReply(b *testing.B) {
	var chunks strings.Builder
	for range 16 {
		fmt.Fprintf(&chunks, "400\r\n%s\r\n", strings.Repeat("x", 1024))
	}
	for _, c := range []struct{ name, reply string }{
		{"small", benchSmall},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n\r\n"},
		{"large", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 256<<10, strings.Repeat("x", 256<<10))},
	} {
		b.Run(c.name, func(b *testing.B) {
			rt := overMemory(b, &memConn{again: []byte(c.reply)})
			req := benchRequest(b)
			b.ReportAllocs()
			b.SetBytes(int64(len(c.reply)))
			for b.Loop() {
				benchExchange(b, rt, req)
			}
		})
	}
}
