package proxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTunnelEndsWithItsSession(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		b := newBoard(t)
		mine, too := b.join("mine", "tcp", network, "", ""), b.join("mine", "tcp", network, "", "")
		other := b.join("other", "tcp", network, "", "")
		none := b.join("", "tcp", network, "", "")
		mine.carries(mine.app, mine.client, "\x81\x02hi")
		mine.carries(mine.client, mine.app, "\x81\x80mask")
		halfClose(t, too.client) // only half of it is left
		too.rest(too.app, "")
		b.end("mine")
		if keys := b.keys(); len(keys) != 2 || b.gauge() != 2 {
			t.Errorf("left: %q, %v counted", keys, b.gauge())
		}
		b.end("mine") // of no effect
		mine.rest(mine.client, string(goingAway))
		mine.rest(mine.app, "")
		mine.wantOver(6, 8)
		too.rest(too.client, string(goingAway))
		too.wantOver(0, 4)
		for _, j := range []*joint{other, none} {
			j.carries(j.app, j.client, "still here")
			j.carries(j.client, j.app, "here too")
		}
		b.endEndless()
		other.wantOver(8, 10) // these bytes were no frames, so there was no place for one
		none.wantOver(8, 10)
	}
}

// What the app says while the session ends arrives up to some byte, and only
// if that is the last one of a frame, a close frame follows.
func TestTunnelClosesBetweenFrames(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	closed, cut := 0, 0
	for range 150 {
		b := newBoard(t)
		var said []byte
		boundary := map[int]bool{0: true}
		for len(said) < 20000 {
			size := rnd.IntN(126)
			switch rnd.IntN(8) {
			case 0:
				size = 126 + rnd.IntN(4000)
			case 1:
				size = 65536
			}
			said = append(said, frame(size, 0x11)...)
			boundary[len(said)] = true
		}
		if rnd.IntN(2) == 0 {
			said = said[:rnd.IntN(len(said))]
		}
		first := rnd.IntN(len(said) + 1)
		j := b.join("a", "tcp", "tcp", "", string(said[:first]))
		pieces := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		var sender sync.WaitGroup
		sender.Go(func() { sendInPieces(j.app, said[first:], pieces) })
		got := make([]byte, rnd.IntN(len(said)+1))
		if _, err := io.ReadFull(j.client, got); err != nil {
			t.Fatal(err)
		}
		b.end("a")
		rest, err := io.ReadAll(j.client)
		if err != nil {
			t.Fatal(err)
		}
		sender.Wait()
		got = append(got, rest...)
		passed, was := bytes.CutSuffix(got, goingAway)
		if !bytes.HasPrefix(said, passed) || was != boundary[len(passed)] {
			t.Fatalf("of %d bytes %d arrived; a close frame: %v, between two frames: %v", len(said), len(passed), was, boundary[len(passed)])
		}
		j.wantOver(0, int64(len(got)))
		if was {
			closed++
		} else {
			cut++
		}
	}
	if closed < 10 || cut < 10 {
		t.Errorf("%d were closed, %d cut off: not much of a test", closed, cut)
	}
}

// What a client was not sent does not count, and the close frame is the last
// thing that it is.
func TestTunnelLastWords(t *testing.T) {
	for _, c := range []struct {
		room int
		want string
	}{
		{0, string(goingAway)},
		{1, "\x81"},
		{3, "\x81\x02h"},
		{4, "\x81\x02hi" + string(goingAway)},
	} {
		_, app := socketPair(t, "pipe")
		client := &cramped{room: c.room}
		s := newStreams(NewMetrics("test", "go"))
		tunnel := &tunnel{streams: s, client: client, app: app}
		s.metrics.webSockets.Inc()
		s.enter("a", tunnel, &tunnel.seat)
		if n, err := tunnel.Write([]byte("\x81\x02hi")); n != c.room || (err == nil) != (n == 4) {
			t.Error(n, err)
		}
		client.room = 100 // there could be more by now
		tunnel.end()
		tunnel.end()
		if _, err := tunnel.Write([]byte("\x81\x00")); err == nil {
			t.Error("the app may go on")
		}
		if string(client.got) != c.want || tunnel.out != int64(len(c.want)) {
			t.Errorf("with room for %d the client got %q; %d bytes were counted", c.room, client.got, tunnel.out)
		}
	}
}

// cramped is a connection that takes only so much.
type cramped struct {
	net.Conn
	room int
	got  []byte
}

func (c *cramped) Write(p []byte) (int, error) {
	n := min(len(p), c.room)
	c.got = append(c.got, p[:n]...)
	if n < len(p) {
		return n, net.ErrClosed
	}
	return n, nil
}

func (c *cramped) SetWriteDeadline(time.Time) error { return nil }
func (c *cramped) Close() error                     { return nil }

// frame is an unmasked binary frame of one repeated byte.
func frame(size int, content byte) []byte {
	b := []byte{0x82, byte(size)}
	switch {
	case size > 65535:
		b = binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(size))
	case size > 125:
		b = binary.BigEndian.AppendUint16([]byte{0x82, 126}, uint16(size))
	}
	return append(b, bytes.Repeat([]byte{content}, size)...)
}

// A client that reads nothing cannot hold up the end of its session for longer
// than the patience there is.
func TestTunnelEndsForAStuckClient(t *testing.T) {
	t.Run("before a frame", func(t *testing.T) {
		b := newBoard(t)
		j := b.join("a", "pipe", "pipe", "", "")
		io.WriteString(j.app, "\x81\x02hi") // the pump has it, and nobody takes it
		b.end("a")
		j.rest(j.client, "")
		j.rest(j.app, "")
		j.wantOver(0, 0)
	})
	t.Run("inside a frame", func(t *testing.T) {
		b := newBoard(t)
		j := b.join("a", "tcp", "tcp", "", "")
		huge := append([]byte{0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0}, make([]byte, 1<<20)...)
		var sender sync.WaitGroup
		sender.Go(func() {
			j.app.Write(huge[:10])
			for {
				if _, err := j.app.Write(huge[10:]); err != nil {
					return
				}
			}
		})
		io.ReadFull(j.client, make([]byte, 10))
		way, held := &j.tunnel.(*tunnel).mu, 0
		eventually(t, "the way to the client is full", func() bool {
			if held++; way.TryLock() {
				way.Unlock()
				held = 0
			}
			return held == 10
		})
		b.end("a")
		got, _ := io.ReadAll(j.client)
		sender.Wait()
		if bytes.Contains(got, goingAway) {
			t.Error("a close frame inside a frame")
		}
		j.wantOver(0, int64(len(got))+10)
	})
}

// A slow reader slows down who writes to it, and costs no memory.
func TestTunnelBackPressure(t *testing.T) {
	for _, up := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStreams(NewMetrics("test", "go"))
			client, farClient := net.Pipe()
			app, farApp := net.Pipe()
			s.tunnel("", client, nil, app, nil, func(_, _ int64) {})
			from, to := farClient, farApp
			if !up {
				from, to = farApp, farClient
			}
			var written atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 1000 {
					n, _ := from.Write(make([]byte, 1000))
					written.Add(int64(n))
				}
			}()
			synctest.Wait()
			if n := written.Load(); n > 2*smallChunk {
				t.Errorf("%d bytes were taken that nobody reads", n)
			}
			if n, err := io.ReadFull(to, make([]byte, 1000_000)); err != nil {
				t.Error(n, err)
			}
			<-done
			farClient.Close()
			synctest.Wait()
		})
	}
}

// Ends of all kinds at the same time: each tunnel tells its end once.
func TestTunnelEndsRace(t *testing.T) {
	b := newBoard(t)
	rnd := rand.New(rand.NewPCG(5, 6))
	var all sync.WaitGroup
	var acts []func()
	for range 40 {
		key := []string{"", "a", "b"}[rnd.IntN(3)]
		j := b.join(key, "tcp", []string{"tcp", "unix"}[rnd.IntN(2)], "early", "\x81\x05first")
		some := []func(){
			func() { j.client.Close() },
			func() { j.app.Close() },
			func() { j.client.(*net.TCPConn).SetLinger(0); j.client.Close() },
			func() { j.client.(*net.TCPConn).CloseWrite(); j.app.Close() },
			func() { sendInPieces(j.client, make([]byte, 300<<10), rand.New(rand.NewPCG(1, 1))) },
			func() { sendInPieces(j.app, make([]byte, 300<<10), rand.New(rand.NewPCG(1, 2))) },
			func() { io.Copy(io.Discard, j.client) },
			func() { io.Copy(io.Discard, j.app) },
		}
		end := []func(){func() { b.end(key) }, j.tunnel.end, func() { j.client.Close() }, func() { j.app.Close() }}[rnd.IntN(4)]
		for _, i := range rnd.Perm(len(some))[:3] {
			acts = append(acts, some[i])
		}
		acts = append(acts, end)
	}
	for _, act := range acts {
		all.Go(act)
	}
	b.endEndless()
	all.Wait()
}

// The bytes that came with the handshakes are not kept for hours.
func TestTunnelForgetsEarlyBytes(t *testing.T) {
	b := newBoard(t)
	client, farClient := socketPair(t, "tcp")
	app, farApp := socketPair(t, "tcp")
	var freed atomic.Int32
	bytesOf := func(text string) []byte {
		p := bytes.Repeat([]byte(text), 1000)
		runtime.AddCleanup(&p[0], func(int) { freed.Add(1) }, 0)
		return p
	}
	b.begun++
	b.tunnel("", client, bytesOf("early"), app, bytesOf("first"), func(_, _ int64) { b.ended.Add(1) })
	io.ReadFull(farClient, make([]byte, 5000))
	io.ReadFull(farApp, make([]byte, 5000))
	eventually(t, "both are freed", func() bool { runtime.GC(); return freed.Load() == 2 })
	farClient.Close()
	farApp.Close()
}
