//go:build unix

package proxy

import (
	"bytes"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// barePeer joins a socket of the gateway with a descriptor that costs this
// process no memory.
func barePeer(b *testing.B, ln net.Listener) (net.Conn, int) {
	b.Helper()
	far, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer far.Close()
	near, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	f, err := far.(*net.TCPConn).File()
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd())) // Fd makes it a blocking one
	if err != nil {
		b.Fatal(err)
	}
	return near, fd
}

// say lets bytes travel from one end of a tunnel to the other.
func say(b *testing.B, from, to int, message []byte) {
	b.Helper()
	if n, err := syscall.Write(from, message); n != len(message) {
		b.Fatal(n, err)
	}
	got := make([]byte, len(message))
	for have := 0; have < len(got); {
		n, err := syscall.Read(to, got[have:])
		if n <= 0 && err != syscall.EINTR {
			b.Fatal(n, err)
		}
		have += max(n, 0)
	}
	if !bytes.Equal(got, message) {
		b.Fatal("something else arrived")
	}
}

// memory is what a process holds, after it has thrown away what it can.
func memory(b *testing.B) (heap, stack, rss float64) {
	for range 3 {
		runtime.GC() // the pool lets go of its content at the second one
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if fields, err := os.ReadFile("/proc/self/statm"); err == nil {
		pages, _ := strconv.Atoi(string(bytes.Fields(fields)[1]))
		rss = float64(pages * os.Getpagesize())
	}
	return float64(m.HeapInuse), float64(m.StackInuse), rss
}

// BenchmarkTunnelIdleMemory is what an idle upgraded connection holds after
// messages in both directions, small ones and such that fill a buffer.
func BenchmarkTunnelIdleMemory(b *testing.B) {
	const pairs = 4000
	needFiles(b, 4*pairs+100)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	small, large := bytes.Repeat([]byte{1}, 200), bytes.Repeat([]byte{2}, 60<<10)
	for b.Loop() {
		s := newStreams(NewMetrics("bench", "go"))
		peers := make([]int, 0, 2*pairs)
		heap, stack, rss := memory(b)
		var over sync.WaitGroup
		for i := range pairs {
			over.Add(1)
			client, far := barePeer(b, ln)
			app, farApp := barePeer(b, ln)
			s.tunnel("session "+strconv.Itoa(i), client, nil, app, nil, func(_, _ int64) { over.Done() })
			peers = append(peers, far, farApp)
		}
		for i := 0; i < len(peers); i += 2 {
			for _, m := range [][]byte{small, large, small} {
				say(b, peers[i], peers[i+1], m)
				say(b, peers[i+1], peers[i], m)
			}
		}
		heap2, stack2, rss2 := memory(b)
		b.ReportMetric((heap2-heap)/pairs, "heap-B/pair")
		b.ReportMetric((stack2-stack)/pairs, "stack-B/pair")
		b.ReportMetric((rss2-rss)/pairs, "rss-B/pair")
		for _, fd := range peers {
			syscall.Close(fd)
		}
		over.Wait()
	}
}

func needFiles(b *testing.B, n uint64) {
	b.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) < n {
		b.Skipf("needs %d open files, may have %d (%v)", n, l.Cur, err)
	}
}
