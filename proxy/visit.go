package proxy

import (
	"bufio"
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"wxgate/identity"
	"wxgate/session"
)

// The outcomes of a request, as metrics and log know them.
const (
	outcomeForwarded    = "forwarded"    // to the app, with identity
	outcomeAnonymous    = "anonymous"    // to the app, without
	outcomeRedirected   = "redirected"   // to login
	outcomeUnauthorized = "unauthorized" // refused for lack of a session, a profile or leave
	outcomeOwn          = "own"          // answered by the gateway
	outcomeError        = "error"
)

var outcomes = []string{outcomeForwarded, outcomeAnonymous, outcomeRedirected, outcomeUnauthorized, outcomeOwn, outcomeError}

// visit is one request on its way: what the steps have learnt of it, and the
// writer through which its answer goes.
type visit struct {
	w http.ResponseWriter
	r *http.Request
	s *Server

	id     string
	start  time.Time
	client netip.Addr
	host   string // the served host, once it is known to be one
	path   string // the raw path, once it is known to be one

	live    *live // of a request with a session
	target  *upstream
	token   bool // forward the Yunxin token
	outcome string
	cause   error  // what the log says of a failure; visitors never see it
	event   string // of a push that is known to be WeChat's, as plainWord

	status   int
	sent     int64
	upgraded bool
	// The body may still be read when the answer is complete already.
	received atomic.Int64
	broken   atomic.Bool // the client did not send what it announced
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{w: w, r: r, s: s, start: s.now(), client: clientAddress(r, s.cfg.TrustedProxies)}
	v.id = newRequestID()
	return v
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newRequestID() string {
	var b [10]byte
	rand.Read(b[:])
	return lowerBase32.EncodeToString(b[:])
}

// end writes the one log record of the request and counts it. It says path
// but no query, and no cookie, code, token or openid.
func (s *Server) end(v *visit) {
	if v.outcome == "" {
		v.outcome = outcomeError // the handler panicked, or the client went away
	}
	took := s.now().Sub(v.start)
	s.metrics.request(v.outcome, took, v.upgraded)
	level := slog.LevelInfo
	if v.outcome == outcomeError {
		level = slog.LevelWarn
		if v.status >= 500 {
			level = slog.LevelError
		}
	}
	if !s.log.Enabled(v.r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("id", v.id),
		slog.String("method", v.logMethod()),
		slog.String("path", v.logPath()),
		slog.Int("status", v.status),
		slog.String("outcome", v.outcome),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("in", v.received.Load()),
		slog.Int64("out", v.sent),
		slog.String("client", v.client.String()),
	)
	if v.live != nil {
		attrs = append(attrs, slog.String("user", v.live.user.ID))
	}
	if v.event != "" {
		attrs = append(attrs, slog.String("event", v.event))
	}
	if v.upgraded {
		attrs = append(attrs, slog.Bool("upgraded", true))
	}
	if v.cause != nil {
		attrs = append(attrs, slog.String("error", v.cause.Error()))
	}
	s.log.LogAttrs(v.r.Context(), level, "request", attrs...)
}

// maxLogPath bounds what one request may write into the log.
const maxLogPath = 512

func (v *visit) logPath() string {
	if len(v.path) > maxLogPath {
		return v.path[:maxLogPath] + "…" + strconv.Itoa(len(v.path)) + " bytes"
	}
	return v.path
}

// logMethod keeps methods that nobody registered, and that may be of any
// length, out of the log.
func (v *visit) logMethod() string {
	if !methods[v.r.Method] {
		return "?"
	}
	return v.r.Method
}

// Header, Write and WriteHeader make a visit the writer of its answer.
func (v *visit) Header() http.Header { return v.w.Header() }

func (v *visit) Write(p []byte) (int, error) {
	if v.status == 0 {
		v.status = http.StatusOK
	}
	n, err := v.w.Write(p)
	v.sent += int64(n)
	return n, err
}

func (v *visit) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		// An interim answer bypasses every other look at the app's headers.
		identity.StripAnswer(v.Header())
		session.DropSetCookies(v.Header())
	} else if v.status == 0 {
		v.status = status
	}
	v.w.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach flush and deadlines.
func (v *visit) Unwrap() http.ResponseWriter { return v.w }

// Hijack hands the connection to an upgrade, registered with its session so
// that it ends when the session does.
func (v *visit) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(v.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	v.upgraded = true
	v.status = http.StatusSwitchingProtocols
	return v.s.streams.upgrade(v, conn, buf), buf, nil
}

// write answers with a whole body.
func (v *visit) write(status int, body []byte) {
	v.Header().Set("Content-Length", strconv.Itoa(len(body)))
	v.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		v.Write(body)
	}
}

// incoming counts a request body and, at its end, passes on the trailers that
// the client had announced. The reverse proxy clones the trailer map before
// the values are known, so undisturbed only their names would arrive.
type incoming struct {
	io.ReadCloser
	v       *visit
	trailer http.Header // of the outgoing request
	closed  atomic.Bool
}

func (b *incoming) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.v.received.Add(int64(n))
	if err != nil && err != io.EOF && !b.closed.Load() {
		b.v.broken.Store(true)
	}
	if err == io.EOF {
		for name := range b.trailer {
			if values, ok := b.v.r.Trailer[name]; ok {
				b.trailer[name] = values
			}
		}
	}
	return n, err
}

// Close is called by the transport when it wants no more of the body.
func (b *incoming) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

// traceParent keeps a valid W3C trace context header and makes one, not
// sampled, where there is none; the vendors' part belonged to the old one and
// goes with it (https://www.w3.org/TR/trace-context/).
func traceParent(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 && validTraceParent(values[0]) {
		return values[0]
	}
	delete(h, "Tracestate")
	var b [24]byte
	rand.Read(b[:])
	text := hex.EncodeToString(b[:])
	return "00-" + text[:32] + "-" + text[32:] + "-00"
}

func validTraceParent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	zero := [2]bool{true, true}
	for i := 3; i < len(s); i++ {
		if i == 35 || i == 52 {
			continue
		}
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
		if c != '0' && i < 35 {
			zero[0] = false
		} else if c != '0' && i < 52 {
			zero[1] = false
		}
	}
	return !zero[0] && !zero[1]
}
