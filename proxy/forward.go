package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"wxgate/identity"
)

// This is the reverse proxy proper. The standard library's would do the same
// work (and what it has learnt, of hop-by-hop headers, of interim answers, of
// trailers and of answers that break off, is observed here too) but copies the
// request twice and the answer's header once, and could not let go of a
// WebSocket's request. The tests compare the two.

// forward hands the request to the app, and its answer to the client.
func (s *Server) forward(v *visit, l *live, token bool) {
	v.target = s.upstreamFor(v.path)
	if v.target == nil {
		s.fail(v, notFound, nil)
		return
	}
	v.token = token
	v.outcome = outcomeAnonymous
	if l != nil {
		v.outcome = outcomeForwarded
	}
	s.metrics.inFlight.Inc()
	defer s.landed(v)
	res, err := v.target.app.Exchange(s.outgoing(v), v)
	if err != nil {
		s.unanswered(v, err)
		return
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		err = s.switchProtocols(v, res)
	} else {
		err = s.passBack(v, res)
	}
	if err != nil {
		s.unanswered(v, err)
	}
}

// landed is the end of forwarding, however it came about.
func (s *Server) landed(v *visit) {
	if v.upgraded {
		return // the tunnel ends it
	}
	s.metrics.inFlight.Dec()
	if v.body != nil {
		v.body.linger()
	}
}

// outgoing makes the request to the app. The client's header stays as it came,
// because a login that has to follow looks into it once more.
func (s *Server) outgoing(v *visit) *http.Request {
	in := v.r
	size := len(in.Header) + len(v.told) + 1 // what tell sets, two of them the same
	if v.live != nil {
		size += v.live.headers.Len()
	}
	h := make(http.Header, size)
	for name, values := range in.Header {
		if !hopByHop(name) && !forwarding(name) {
			h[name] = values
		}
	}
	dropNamed(h, in.Header["Connection"])
	if httpguts.HeaderValuesContainsToken(in.Header["Te"], "trailers") {
		h["Te"] = teTrailers
	}
	if asksToSwitch(in.Header) {
		h["Connection"], h["Upgrade"] = connectionUpgrade, upgradeWebSocket
	}
	if s.injects(in) {
		askPlainly(h)
	}
	withhold(h)
	// After everything that a client's Connection header could name.
	s.tell(v, h)
	s.identify(v, h, v.token)

	// Method, path and query go on byte for byte, in RequestURI: the app is
	// unmodified, and nothing was decided by a cleaned reading of them.
	out := new(http.Request)
	*out = *in
	out.Header, out.Close, out.Trailer = h, false, nil
	if in.ContentLength == 0 || in.Body == nil {
		out.Body = nil
		return out
	}
	if len(in.Trailer) > 0 {
		// Only announced trailers go on, without look-alikes; incoming fills
		// their values in once the body has ended.
		out.Trailer = make(http.Header, len(in.Trailer))
		for name := range in.Trailer {
			out.Trailer[name] = nil
		}
		identity.Strip(out.Trailer)
	}
	v.body = newIncoming(v, out.Trailer)
	out.Body = v.body
	return out
}

// passBack gives the app's answer to the client, or says why it cannot.
func (s *Server) passBack(v *visit, res *http.Response) error {
	// The body that answer makes of it, and the request's with it, if that is
	// still on its way.
	defer func() { res.Body.Close() }()
	dropHopByHop(res.Header)
	if err := s.answer(v, res); err != nil {
		return err
	}
	h := v.Header()
	for name, values := range res.Header {
		if before, ok := h[name]; ok {
			values = append(before[:len(before):len(before)], values...)
		}
		h[name] = values
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http would guess one that the app did not mean
	}
	for name := range res.Trailer {
		h["Trailer"] = append(h["Trailer"], name)
	}
	v.WriteHeader(res.StatusCode)
	if err := s.copyBody(v, res); err != nil {
		s.log.Debug("an answer broke off", "id", v.id, "error", err)
		// The client must not take what it got for the whole.
		panic(http.ErrAbortHandler)
	}
	if len(res.Trailer) == 0 {
		return nil
	}
	v.flush() // or net/http would give a short body a length, and no trailers
	announced := h["Trailer"]
	for _, name := range announced {
		delete(h, name) // what the header said of it has been sent
	}
	for name, values := range res.Trailer {
		if !slices.Contains(announced, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
	return nil
}

// copyBody passes on what the app sends, as it comes where the length is not
// known: it may be the news that somebody waits for.
func (s *Server) copyBody(v *visit, res *http.Response) error {
	if res.Body == http.NoBody {
		return nil
	}
	stream := res.ContentLength < 0 || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
	if stream && !ready(res.Body) {
		if err := v.flush(); err != nil {
			return err
		}
	}
	buf := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(buf)
	for {
		n, err := res.Body.Read(buf[:])
		if n > 0 {
			if _, err := v.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case stream:
			if err := v.flush(); err != nil {
				return err
			}
		}
	}
}

const copyBuffer = 32 << 10

// buffers are lent out to answers on their way.
var buffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// ready reports that a body's next bytes are here; if it does not say, they are
// not.
func ready(body io.Reader) bool {
	b, ok := body.(interface{ Ready() bool })
	return ok && b.Ready()
}

// unanswered is called when there is no answer to pass on.
func (s *Server) unanswered(v *visit, err error) {
	var dial *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(err, errProfileWanted):
		s.refuse(v, profileRequired)
	case v.broken.Load():
		s.fail(v, badRequest, fmt.Errorf("the client broke off its body: %v", err))
	case errors.As(err, &dial) && dial.Op == "dial":
		s.fail(v, upstreamDown, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		s.fail(v, upstreamSlow, fmt.Errorf("no answer from the app within %v", s.cfg.UpstreamTimeout))
	default:
		s.fail(v, upstreamDown, err)
	}
}
