package yunxin

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
)

// maxKept is how much of a body is kept to be sent again.
const maxKept = 64 << 10

// upload is the body of a Call.
type upload struct {
	kept   []byte    // the whole body, or what comes before rest
	rest   io.Reader // of a body that is too long to be kept
	length int64     // with rest: of the whole, -1 if not known
}

// newUpload reads a body that may be short, because only then can it be kept.
func newUpload(body io.Reader, length int64) (*upload, error) {
	if body == nil {
		return &upload{}, nil
	}
	if length > maxKept {
		return &upload{rest: body, length: length}, nil
	}
	head, err := io.ReadAll(io.LimitReader(body, maxKept+1))
	switch {
	case err != nil:
		return nil, err
	case len(head) > maxKept:
		return &upload{kept: head, rest: body, length: -1}, nil
	}
	return &upload{kept: head}, nil
}

// open returns the body for one attempt.
func (u *upload) open() io.Reader {
	if u.rest != nil {
		return &streamed{source: io.MultiReader(bytes.NewReader(u.kept), u.rest), length: u.length}
	}
	return bytes.NewReader(u.kept) // whose length net/http finds out
}

// streamed is a long body in the hands of one attempt. The transport may come to
// read it when the attempt has been given up already; it must not take from the
// next one's then.
type streamed struct {
	source io.Reader
	length int64
	state  atomic.Int32
}

const (
	untouched int32 = iota
	begun
	left
)

func (s *streamed) Read(p []byte) (int, error) {
	if !s.state.CompareAndSwap(untouched, begun) && s.state.Load() == left {
		return 0, errors.New("body of an attempt that was given up")
	}
	n, err := s.source.Read(p)
	if err != nil && err != io.EOF {
		err = &bodyError{err}
	}
	return n, err
}

// leave gives the body up and reports that nothing has been read from it.
func (s *streamed) leave() bool { return s.state.CompareAndSwap(untouched, left) }

// bodyError is a failure of our caller's, not of Yunxin's.
type bodyError struct{ cause error }

func (e *bodyError) Error() string { return e.cause.Error() }
func (e *bodyError) Unwrap() error { return e.cause }
