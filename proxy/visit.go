package proxy

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
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
	from   string // client as text
	host   string // the served host, once it is known to be one
	path   string // the raw path, once it is known to be one

	live    *live     // of a request with a session
	user    string    // whose tunnel this is
	body    *incoming // of a request that is forwarded with one
	target  *upstream
	token   bool      // forward the Yunxin token
	told    [5]string // values of the headers that tell sets
	outcome string
	cause   error  // what the log says of a failure; visitors never see it
	event   string // of a push that is known to be WeChat's, as plainWord

	status   int
	gone     bool // the client left before its answer
	sent     int64
	upgraded bool
	// The body may still be read when the answer is complete already.
	received atomic.Int64
	broken   atomic.Bool // the client did not send what it announced
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{w: w, r: r, s: s, start: s.now(), client: clientAddress(r, s.cfg.TrustedProxies)}
	v.id = newRequestID()
	v.from = addressText(v.client, r.RemoteAddr)
	return v
}

// end writes the one log record of the request and counts it. It says path
// but no query, and no cookie, code, token or openid.
func (s *Server) end(v *visit) {
	if v.outcome == "" {
		v.outcome = outcomeError // the handler panicked, or the client went away
	}
	if v.gone {
		v.status = statusClientGone
	}
	now := s.now()
	took := now.Sub(v.start)
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
	attrs := make([]slog.Attr, 0, 13)
	attrs = append(attrs,
		slog.String("id", v.id),
		slog.String("method", v.logMethod()),
		slog.String("path", v.logPath()),
		slog.Int("status", v.status),
		slog.String("outcome", v.outcome),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("in", v.received.Load()),
		slog.Int64("out", v.sent),
		slog.String("client", v.from),
	)
	if v.live != nil {
		v.user = v.live.user.ID
	}
	if v.live != nil || v.user != "" {
		attrs = append(attrs, slog.String("user", v.user))
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
	// The logger itself would look for the line of the program that this comes
	// from, at every request.
	record := slog.NewRecord(now, level, "request", 0)
	record.AddAttrs(attrs...)
	_ = s.log.Handler().Handle(v.r.Context(), record) // a log that cannot be written has nowhere to say so
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

// detach lets go of all that the log does not need of a tunnel, which may last
// for hours.
func (v *visit) detach() {
	if v.live != nil {
		v.user, v.live = v.live.user.ID, nil
	}
	// Parts of the request's first line would keep the whole of it.
	v.path = strings.Clone(v.path)
	v.w, v.body, v.target, v.r = nil, nil, nil, &http.Request{Method: strings.Clone(v.r.Method)}
}
