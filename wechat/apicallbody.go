package wechat

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxReplay bounds the bodies that are kept while they are sent, so that the call
// can be made once more.
const maxReplay = 1 << 20

// upload is the body of a call, which can be sent a second time if it is small
// and was read to its end the first time.
type upload struct {
	src    io.Reader
	length int64 // negative: unknown; 0: no body

	mu   sync.Mutex // guards the rest
	kept []byte
	over bool // more than can be kept
	eof  bool
}

func newUpload(call Call) *upload {
	if call.Body == nil {
		return &upload{}
	}
	return &upload{src: call.Body, length: call.ContentLength}
}

// reader returns the body for one attempt, which ctx ends. The source is read by
// a goroutine, because net/http waits for a Read to return before it gives up a
// call, and the app may never send more.
func (u *upload) reader(ctx context.Context, wait *patience) io.Reader {
	if u.length == 0 {
		return http.NoBody
	}
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { r.CloseWithError(context.Cause(ctx)) })
	src := u.src
	go func() {
		_, err := io.Copy(w, keeping{src, u})
		w.CloseWithError(err)
	}()
	return &uploadReader{PipeReader: r, wait: wait}
}

// rewind has the next reader begin anew, and returns false if it cannot.
func (u *upload) rewind() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over || !u.eof && int64(len(u.kept)) != u.length {
		return false
	}
	u.src, u.over = bytes.NewReader(u.kept), true
	return true
}

func (u *upload) keep(p []byte, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.eof = u.eof || err == io.EOF
	switch {
	case u.over:
	case len(u.kept)+len(p) > maxReplay:
		u.over, u.kept = true, nil
	default:
		u.kept = append(u.kept, p...)
	}
}

// keeping reads a source into what is kept of it.
type keeping struct {
	src io.Reader
	u   *upload
}

func (k keeping) Read(p []byte) (int, error) {
	n, err := k.src.Read(p)
	k.u.keep(p[:n], err)
	return n, err
}

// uploadReader is what net/http reads.
type uploadReader struct {
	*io.PipeReader
	wait *patience
}

func (r *uploadReader) Read(p []byte) (int, error) {
	r.wait.pause() // it is the app's turn
	defer r.wait.resume()
	return r.PipeReader.Read(p)
}

// patience ends a call in which WeChat does nothing for too long: neither takes
// the connection, nor more of the body, nor answers. A limit for the whole call
// would cut long bodies, and a limit after the last byte sent, as net/http has,
// does not see one that WeChat does not take.
type patience struct {
	limit time.Duration

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func startPatience(limit time.Duration, cancel context.CancelCauseFunc) *patience {
	return &patience{limit: limit, timer: time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("nothing for %v: %w", limit, context.DeadlineExceeded))
	})}
}

func (p *patience) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
}

func (p *patience) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.timer.Reset(p.limit)
	}
}

func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.timer.Stop()
}
