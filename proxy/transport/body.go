package transport

import (
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

// kind is how the end of a reply is found (RFC 9112, section 6.3).
type kind int

const (
	noBody kind = iota
	byLength
	byChunks
	byClose
)

// body is what comes behind a reply's header.
type body struct {
	e      *exchange
	kind   kind
	left   int64     // bytes that are still to come; -1: not known
	chunks io.Reader // of byChunks

	mu     sync.Mutex // held by a Read, all the time that it waits
	err    error      // of every further Read
	closed atomic.Bool
}

// frame finds out where the reply ends. What does not agree with itself is
// refused: the next hop might read it the other way.
func (b *body) frame(e *exchange) error {
	b.e = e
	res, h := &e.res, e.res.Header
	length, err := contentLength(h)
	if err != nil {
		return err
	}
	chunked := false
	if codings, ok := h["Transfer-Encoding"]; ok {
		delete(h, "Transfer-Encoding")
		if res.ProtoMinor > 0 { // HTTP/1.0 has none
			if len(codings) != 1 || !strings.EqualFold(codings[0], "chunked") {
				return malformed("its transfer encoding is", codings...)
			}
			chunked = true
			res.TransferEncoding = []string{"chunked"}
			if err := announced(res); err != nil {
				return err
			}
		}
	}
	res.Close = httpguts.HeaderValuesContainsToken(h["Connection"], "close") || res.ProtoMinor == 0 && !httpguts.HeaderValuesContainsToken(h["Connection"], "keep-alive")
	bodiless := res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	res.ContentLength = length
	switch {
	case e.req.Method == http.MethodHead:
		if chunked {
			res.ContentLength = -1
		}
		return nil
	case bodiless:
		res.ContentLength = 0
		return nil
	case chunked:
		delete(h, "Content-Length")
		res.ContentLength = -1
		b.kind, b.left, b.chunks = byChunks, -1, httputil.NewChunkedReader(e.c.br)
	case length == 0:
	case length > 0:
		b.kind, b.left = byLength, length
	default:
		res.Close = true
		b.kind, b.left = byClose, -1
	}
	return nil
}

// contentLength returns the announced length, -1 if there is none.
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	for _, other := range values[1:] {
		if other != values[0] {
			return 0, malformed("its lengths are", values...)
		}
	}
	h["Content-Length"] = values[:1]
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return 0, malformed("its length is", values[0])
	}
	return int64(n), nil
}

// announced makes room for the trailers that the header tells of.
func announced(res *http.Response) error {
	values, ok := res.Header["Trailer"]
	if !ok {
		return nil
	}
	delete(res.Header, "Trailer")
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if name == "" {
				continue
			}
			if forbiddenTrailer(name) {
				return malformed("it announces the trailer", name)
			}
			if res.Trailer == nil {
				res.Trailer = http.Header{}
			}
			res.Trailer[name] = nil
		}
	}
	return nil
}

// Read reads the body. The connection is free for the next request with the
// last byte of a known length.
func (b *body) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && b.closed.Load() {
		b.err = http.ErrBodyReadAfterClose
	}
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 && b.kind != noBody {
		return 0, nil
	}
	switch b.kind {
	case noBody:
		err = io.EOF
	case byLength:
		n, err = b.e.c.br.Read(p[:min(int64(len(p)), b.left)])
		if b.left -= int64(n); b.left == 0 {
			err = io.EOF
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	case byChunks:
		n, err = b.chunks.Read(p)
		if err == io.EOF && n > 0 && b.e.c.br.Buffered() < 2 {
			err = nil // what is here must not wait for the line behind it
		} else if err == io.EOF {
			err = b.trailer()
		}
	case byClose:
		n, err = b.e.c.br.Read(p)
	}
	if err != nil {
		b.end(err)
		err = b.err
	}
	return n, err
}

// end ends the exchange at the end of the body, io.EOF, or where it broke.
func (b *body) end(err error) {
	b.e.finish(err == io.EOF)
	if err != io.EOF {
		if cause := context.Cause(b.e.req.Context()); cause != nil {
			err = cause
		} else if b.closed.Load() {
			err = http.ErrBodyReadAfterClose
		}
	}
	b.err = err
}

// trailer reads what comes behind the last chunk; io.EOF is a good end.
func (b *body) trailer() error {
	if peek, err := b.e.c.br.Peek(2); err == nil && string(peek) == "\r\n" {
		b.e.c.br.Discard(2)
		return io.EOF
	}
	s := getScratch()
	defer s.put()
	text, err := s.head(b.e.c.br, b.e.t.cfg.MaxHeader)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		// Only a header may do without carriage returns (RFC 9112, sections
		// 2.2 and 7.1.2); readers who disagree on this disagree on the end.
		return malformed("its trailer has a bare line feed")
	}
	fields, err := readFields(text)
	if err != nil {
		return err
	}
	if b.e.res.Trailer == nil {
		b.e.res.Trailer = http.Header{}
	}
	for name, values := range fields {
		if !forbiddenTrailer(name) {
			b.e.res.Trailer[name] = values
		}
	}
	return io.EOF
}

// Ready reports that a Read would not have to wait for the app.
func (b *body) Ready() bool { return b.kind == noBody || b.e.c.br.Buffered() > 0 }

// Close gives up the rest of the body, and the connection with it unless the
// rest is here already. It may be called while another goroutine reads.
func (b *body) Close() error {
	if b.closed.Swap(true) || !b.mu.TryLock() {
		b.e.finish(false) // makes a Read return
		return nil
	}
	defer b.mu.Unlock()
	b.e.finish(b.err == nil && b.skip())
	return nil
}

// skip drops a rest that needs no waiting, and reports that it was all.
func (b *body) skip() bool {
	switch b.kind {
	case noBody:
		return true
	case byLength:
		n, _ := b.e.c.br.Discard(int(min(b.left, int64(b.e.c.br.Buffered()))))
		return int64(n) == b.left
	}
	return false
}
