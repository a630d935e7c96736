package transport

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// graceLife is how long a complete reply waits for the rest of its request:
// most often the app has it and our goroutine has only not said so yet. After
// that the request is broken off, and with it its connection.
const graceLife = 50 * time.Millisecond

// upload is the sending of a request's body, on a goroutine of its own.
type upload struct {
	e    *exchange
	done chan struct{} // closed when the body is neither read nor sent any more
	err  error         // why it was not sent; to be read after done
	// broke tells that the body itself failed.
	broke atomic.Bool

	// leave is closed, and answered is sent to, to end the wait for "100
	// Continue": true lets the body go.
	leave    chan struct{}
	answered chan bool
	closing  sync.Once
}

func (e *exchange) startUpload(expect bool) {
	u := &upload{e: e, done: make(chan struct{}), leave: make(chan struct{})}
	if expect {
		u.answered = make(chan bool, 1)
	}
	e.up = u
	go u.run()
}

func (u *upload) run() {
	defer close(u.done)
	if u.err = u.wait(); u.err == nil {
		u.err = u.send()
	}
	u.closeBody()
	u.e.uploaded()
}

func (u *upload) closeBody() { u.closing.Do(func() { u.e.req.Body.Close() }) }

// errUnwanted is the fate of a body whose request was answered without it.
var errUnwanted = errors.New("transport: the app did not want the body")

// wait holds a body back until the app wants it.
func (u *upload) wait() error {
	if u.answered == nil {
		return nil
	}
	timer := time.NewTimer(u.e.t.cfg.ContinueTimeout)
	defer timer.Stop()
	select {
	case wanted := <-u.answered:
		if !wanted {
			return errUnwanted
		}
	case <-u.leave:
		return errUnwanted
	case <-timer.C:
	}
	return nil
}

// answer tells the one who waits what the app said.
func (u *upload) answer(wanted bool) {
	if u.answered == nil {
		return
	}
	select {
	case u.answered <- wanted:
	default: // has said so before
	}
}

const (
	pieceSize = 32 << 10
	// chunkHead is room for the size of a chunk and its line end, and as much
	// as the kernel likes its copies to be aligned to.
	chunkHead = 64
)

// pieces are lent out while a body flows.
var pieces = sync.Pool{New: func() any { return new([chunkHead + pieceSize + 2]byte) }}

func (u *upload) send() error {
	p := pieces.Get().(*[chunkHead + pieceSize + 2]byte)
	defer pieces.Put(p)
	req, left := u.e.req, u.e.req.ContentLength
	for !knownLength(req) || left > 0 {
		space := p[chunkHead : chunkHead+pieceSize]
		if knownLength(req) {
			space = space[:min(int64(len(space)), left)]
		}
		select {
		case <-u.leave:
			return errUnwanted
		default:
		}
		n, err := req.Body.Read(space)
		left -= int64(n)
		if n > 0 {
			if err := u.write(p[:], n); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF && knownLength(req) && left > 0:
			return u.broken(fmt.Errorf("transport: the body ended %d bytes before its length: %w", left, io.ErrUnexpectedEOF))
		case err == io.EOF && !knownLength(req):
			return u.end()
		case err != nil && err != io.EOF:
			return u.broken(err)
		}
	}
	return nil
}

// broken ends an exchange whose body cannot be completed. The reader of the
// reply must not wait for an app that waits for the rest.
func (u *upload) broken(err error) error {
	u.broke.Store(true)
	u.e.c.cut()
	return err
}

// write sends n bytes, as a chunk if the length of the whole is not known.
func (u *upload) write(p []byte, n int) error {
	from, to := chunkHead, chunkHead+n
	if !knownLength(u.e.req) {
		var hex [chunkHead]byte
		size := append(strconv.AppendInt(hex[:0], int64(n), 16), "\r\n"...)
		from -= len(size)
		copy(p[from:], size)
		to += copy(p[to:], "\r\n")
	}
	return u.flush(p[from:to])
}

// end writes the end of a chunked body with its trailers, whose values are
// known now.
func (u *upload) end() error {
	b := []byte("0\r\n")
	for _, name := range slices.Sorted(maps.Keys(u.e.req.Trailer)) {
		var err error
		if b, err = appendField(b, name, u.e.req.Trailer[name]); err != nil {
			return u.broken(err)
		}
	}
	return u.flush(append(b, "\r\n"...))
}

func (u *upload) flush(p []byte) error {
	if limit := u.e.t.cfg.HeaderTimeout; limit > 0 {
		u.e.c.SetWriteDeadline(time.Now().Add(limit))
	}
	_, err := u.e.c.Write(p)
	return err
}

// stop ends the upload, if it has not ended yet, and reports that the app got
// the whole request. A whole reply gives it a moment to end by itself.
func (u *upload) stop(whole bool) (sent bool) {
	if !u.over() && whole {
		u.answer(false)
		timer := time.NewTimer(graceLife)
		select {
		case <-u.done:
		case <-timer.C:
		}
		timer.Stop()
	}
	if !u.over() {
		u.e.c.cut() // ends a write that waits
		close(u.leave)
		u.closeBody() // ends a read that waits
		<-u.done
		return false
	}
	return u.err == nil
}

func (u *upload) over() bool {
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

// expects reports that the client holds its body back until the app wants it.
func expects(req *http.Request) bool {
	v := req.Header["Expect"]
	return len(v) == 1 && req.ProtoAtLeast(1, 1) && strings.EqualFold(v[0], "100-continue")
}
