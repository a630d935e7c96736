package proxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// streamAge is the oldest state of a session that its streams go on with. With
// the pace of the watch it makes them end within five seconds of the session.
const streamAge = 2500 * time.Millisecond

// streams knows what lasts: upgraded connections and answers without a length,
// by the session they belong to ("" for those without one). A stream must
// never outlive its session.
type streams struct {
	metrics *Metrics
	mu      sync.Mutex
	by      map[string]map[stream]struct{}
}

// stream is something that can be ended from outside. An endless one has no
// end of its own to wait for.
type stream interface {
	end()
	endless() bool
}

func newStreams(m *Metrics) *streams {
	return &streams{metrics: m, by: map[string]map[stream]struct{}{}}
}

// join adds a stream; leave has to be called when it is over.
func (s *streams) join(key string, st stream) (leave func()) {
	s.mu.Lock()
	if s.by[key] == nil {
		s.by[key] = map[stream]struct{}{}
	}
	s.by[key][st] = struct{}{}
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.by[key], st)
		if len(s.by[key]) == 0 {
			delete(s.by, key)
		}
		s.mu.Unlock()
	}
}

// end ends all streams of a session.
func (s *streams) end(key string) { s.endIf(key, func(stream) bool { return true }) }

func (s *streams) endIf(key string, wanted func(stream) bool) {
	s.mu.Lock()
	list := make([]stream, 0, len(s.by[key]))
	for st := range s.by[key] {
		if wanted(st) {
			list = append(list, st)
		}
	}
	s.mu.Unlock()
	var ended sync.WaitGroup
	for _, st := range list {
		ended.Go(st.end) // each may have to wait for a client that is stuck
	}
	ended.Wait()
}

func (s *streams) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.by))
	for key := range s.by {
		keys = append(keys, key)
	}
	return keys
}

// endEndless ends what would keep a shutdown waiting for nothing.
func (s *streams) endEndless() {
	for _, key := range s.keys() {
		s.endIf(key, stream.endless)
	}
}

// watchStreams ends the streams of sessions that are over.
func (s *Server) watchStreams(ctx context.Context) {
	const parallel = 16
	work := make(chan string)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for key := range work {
				if !s.sessions.alive(ctx, key, streamAge) {
					s.streams.end(key)
				}
			}
		})
	}
	for _, key := range s.streams.keys() {
		if key != "" {
			work <- key
		}
	}
	close(work)
	wg.Wait()
}

// upgrade wraps the client's side of an upgraded connection.
func (s *streams) upgrade(v *visit, conn net.Conn, buf *bufio.ReadWriter) net.Conn {
	u := &upgraded{Conn: conn}
	if n := buf.Reader.Buffered(); n > 0 {
		// Bytes that came right behind the handshake belong to the app.
		early, _ := buf.Reader.Peek(n)
		u.early = append([]byte(nil), early...)
	}
	key := ""
	if v.live != nil {
		key = v.live.key
	}
	leave := s.join(key, u)
	s.metrics.webSockets.Inc()
	u.leave = sync.OnceFunc(func() {
		leave()
		s.metrics.webSockets.Dec()
	})
	return u
}

// upgraded is the client's side of a WebSocket. It follows the frames that the
// app sends, so that a close frame can be put between two of them.
type upgraded struct {
	net.Conn
	early []byte
	leave func()

	mu     sync.Mutex
	frames frames
}

func (u *upgraded) Read(p []byte) (int, error) {
	if len(u.early) > 0 {
		n := copy(p, u.early)
		u.early = u.early[n:]
		return n, nil
	}
	return u.Conn.Read(p)
}

func (u *upgraded) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := u.Conn.Write(p)
	u.frames.pass(p[:n])
	return n, err
}

func (u *upgraded) Close() error {
	u.leave()
	return u.Conn.Close()
}

// CloseWrite lets the copy loop pass on a half-closed connection.
func (u *upgraded) CloseWrite() error {
	if c, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return net.ErrClosed
}

// goingAway is an unmasked close frame with status 1001 (RFC 6455, sections
// 5.5.1 and 7.4.1).
var goingAway = []byte{0x88, 0x02, 0x03, 0xe9}

// closePatience is how long the last write before the end may take.
const closePatience = time.Second

func (u *upgraded) endless() bool { return true }

// end closes the connection, with a close frame if the app stands between two
// frames. A write that is stuck gives way when its patience is over.
func (u *upgraded) end() {
	u.Conn.SetWriteDeadline(time.Now().Add(closePatience))
	u.mu.Lock()
	if u.frames.between() {
		u.Conn.Write(goingAway)
	}
	u.mu.Unlock()
	u.Close()
}

// frames follows the boundaries of WebSocket frames (RFC 6455, section 5.2)
// without looking into them.
type frames struct {
	header [14]byte
	have   int    // bytes of the header that were seen
	left   uint64 // bytes of the payload that are still to come
}

func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

func (f *frames) pass(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		f.header[f.have] = p[0]
		f.have++
		p = p[1:]
		if f.have < 2 || f.have < f.headerSize() {
			continue
		}
		f.left = f.payload()
		f.have = 0
	}
}

func (f *frames) headerSize() int {
	n := 2
	switch f.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) payload() uint64 {
	switch n := f.header[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(n)
	}
}

// streamed is an answer of unknown length. Ending it takes its source away.
type streamed struct {
	body   io.Closer
	events bool // server-sent events
}

func (a *streamed) end()          { a.body.Close() }
func (a *streamed) endless() bool { return a.events }
