package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"wxgate/identity"
	"wxgate/proxy/transport"
	"wxgate/session"
)

// upstream is one app behind the gateway.
type upstream struct {
	prefix string
	scheme string
	host   string
	proxy  *httputil.ReverseProxy
}

const (
	dialTimeout = 5 * time.Second
	// idlePerHost keeps as many connections to the app as may be busy at
	// once; the default of two would open and close one for nearly every
	// request under load.
	idlePerHost     = 512
	idleTimeout     = 90 * time.Second
	continueTimeout = time.Second
	// maxAnswerHeader bounds the header of an app's answer.
	maxAnswerHeader = 256 << 10
	copyBuffer      = 32 << 10
)

func (s *Server) newUpstream(u Upstream) *upstream {
	up := &upstream{prefix: u.Prefix, scheme: u.URL.Scheme, host: u.URL.Host}
	if u.URL.Scheme == "unix" {
		up.scheme, up.host = "http", "localhost"
	}
	up.proxy = &httputil.ReverseProxy{
		Rewrite:        s.rewrite,
		Transport:      newTransport(u.URL, s.cfg.UpstreamTimeout),
		ModifyResponse: s.answer,
		ErrorHandler:   s.unanswered,
		BufferPool:     &buffers{},
		ErrorLog:       log.New(debugLog{s.log}, "", 0),
	}
	return up
}

// newTransport is the seam to the app: whatever sends one request and returns
// its answer. An app next door gets our own transport; one that wants TLS the
// standard one, without environment proxies, which are not for this way, and
// without compression, which is between the browser and the app.
func newTransport(u *url.URL, timeout time.Duration) http.RoundTripper {
	if u.Scheme == "https" {
		return &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        idleTimeout,
			ResponseHeaderTimeout:  timeout,
			ExpectContinueTimeout:  continueTimeout,
			TLSHandshakeTimeout:    dialTimeout,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxAnswerHeader,
			DisableCompression:     true,
		}
	}
	network, address := "tcp", u.Host
	if u.Scheme == "unix" {
		network, address = "unix", u.Path
	} else if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "80")
	}
	return transport.New(transport.Config{
		Network: network, Address: address,
		DialTimeout:     dialTimeout,
		HeaderTimeout:   timeout,
		ContinueTimeout: continueTimeout,
		IdleTimeout:     idleTimeout,
		MaxIdle:         idlePerHost,
		MaxHeader:       maxAnswerHeader,
	})
}

// upstreamFor picks the app with the longest matching prefix.
func (s *Server) upstreamFor(path string) *upstream {
	var best *upstream
	for _, u := range s.upstreams {
		if (strings.HasPrefix(path, u.prefix) || u.prefix == "/") && (best == nil || len(u.prefix) > len(best.prefix)) {
			best = u
		}
	}
	return best
}

type visitKey struct{}

func visitOf(r *http.Request) *visit { return r.Context().Value(visitKey{}).(*visit) }

// forward hands the request to the app.
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
	defer s.metrics.inFlight.Dec()
	v.target.proxy.ServeHTTP(v, v.r.WithContext(context.WithValue(v.r.Context(), visitKey{}, v)))
}

// rewrite makes the outgoing request. The reverse proxy has removed the
// hop-by-hop headers by now, so a client's Connection header cannot name ours.
func (s *Server) rewrite(pr *httputil.ProxyRequest) {
	v := visitOf(pr.In)
	out, h := pr.Out, pr.Out.Header

	out.URL.Scheme, out.URL.Host = v.target.scheme, v.target.host
	// Method, path and query go on byte for byte: the app is unmodified, and
	// nothing was decided by a cleaned reading of them.
	if !strings.HasPrefix(v.path, "//") {
		out.URL.Opaque = v.path
	}
	out.URL.RawQuery, out.URL.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery

	if s.injects(pr.In) {
		askPlainly(h)
	}
	withhold(h)
	client := []string{v.client.String()}
	h["X-Forwarded-For"], h["X-Real-Ip"] = client, client
	h["X-Forwarded-Host"] = []string{v.r.Host}
	h["X-Forwarded-Proto"] = []string{s.hosts.scheme}
	h["X-Request-Id"] = []string{v.id}
	h["Traceparent"] = []string{traceParent(h)}
	s.identify(v, h, v.token)

	// Only announced trailers go on, without look-alikes; incoming fills
	// their values in once the body has ended.
	out.Trailer = nil
	if len(pr.In.Trailer) > 0 {
		out.Trailer = make(http.Header, len(pr.In.Trailer))
		for name := range pr.In.Trailer {
			out.Trailer[name] = nil
		}
		identity.Strip(out.Trailer)
	}
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &incoming{ReadCloser: out.Body, v: v, trailer: out.Trailer}
	}
}

// errProfileWanted says that the app asked for the visitor's profile instead
// of answering.
var errProfileWanted = errors.New("the app wants a profile")

// answer corrects the few things of an app's answer that cannot stay, and
// changes nothing else.
func (s *Server) answer(res *http.Response) error {
	v := visitOf(res.Request)
	h := res.Header
	if v.live != nil && !v.live.snapshot && v.live.user.Profile == nil && h.Get(identity.HeaderRequire) == "profile" {
		return errProfileWanted
	}
	identity.StripAnswer(h)
	session.DropSetCookies(h)
	if h["Access-Control-Allow-Credentials"] != nil && !(s.originAllowed(v.r.Header.Get("Origin")) && s.mayHaveCredentials(h.Get("Access-Control-Allow-Origin"))) {
		h.Del("Access-Control-Allow-Credentials")
	}
	if loc := h.Get("Location"); loc != "" {
		if fixed := s.correctLocation(v, loc); fixed != loc {
			h.Set("Location", fixed)
		}
	}
	if v.live != nil && isPageVisit(v.r) && h["Cache-Control"] == nil && h["Expires"] == nil && h["Pragma"] == nil {
		// By its heuristics a browser would show such a page for days after
		// the session's end, and every call of it would fail.
		h.Set("Cache-Control", "private, no-cache")
	}
	if res.StatusCode != http.StatusSwitchingProtocols && res.ContentLength < 0 {
		identity.StripAnswer(res.Trailer)
		session.DropSetCookies(res.Trailer)
		body := &outgoing{ReadCloser: res.Body, res: res}
		key := ""
		if v.live != nil {
			key = v.live.key
		}
		events := strings.HasPrefix(h.Get("Content-Type"), "text/event-stream")
		body.leave = s.streams.join(key, &streamed{res.Body, events})
		res.Body = body
	}
	s.inject(v, res)
	return nil
}

// mayHaveCredentials judges the origin that an answer names: it may be kept
// and used for another request than the one that asked.
func (s *Server) mayHaveCredentials(allowed string) bool {
	return allowed == "*" || s.originAllowed(allowed) // browsers refuse "*" with credentials
}

// correctLocation mends redirects of apps that know only their own address or
// take the public scheme for http.
func (s *Server) correctLocation(v *visit, loc string) string {
	scheme, rest, ok := strings.Cut(loc, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return loc
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := strings.TrimSuffix(rest[:end], defaultPorts[strings.ToLower(scheme)]), rest[end:]
	if strings.EqualFold(authority, strings.TrimSuffix(v.target.host, defaultPorts[v.target.scheme])) && s.hosts.find(authority) == "" {
		return s.hosts.origin(v.host) + path
	}
	if host := s.hosts.find(authority); host != "" && !strings.EqualFold(scheme, s.hosts.scheme) {
		return s.hosts.origin(host) + path
	}
	return loc
}

// outgoing is an answer of unknown length: it may be a stream without end, so
// it is known to its session, and it may have trailers, which are looked at
// when they are there. An answer of known length has none on the way to the
// client, whatever the app's HTTP/2 has sent: HTTP/1.1 has no place for them.
type outgoing struct {
	io.ReadCloser
	res   *http.Response
	leave func()
}

func (b *outgoing) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		identity.StripAnswer(b.res.Trailer)
		session.DropSetCookies(b.res.Trailer)
	}
	return n, err
}

func (b *outgoing) Close() error {
	b.leave()
	return b.ReadCloser.Close()
}

// unanswered is called when there is no answer to pass on.
func (s *Server) unanswered(_ http.ResponseWriter, r *http.Request, err error) {
	v := visitOf(r)
	var dial *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(err, errProfileWanted):
		s.refuse(v, profileRequired)
	case v.broken.Load():
		s.fail(v, badRequest, fmt.Errorf("the client broke off its body: %w", err))
	case errors.As(err, &dial) && dial.Op == "dial":
		s.fail(v, upstreamDown, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		s.fail(v, upstreamSlow, fmt.Errorf("no answer from the app within %v", s.cfg.UpstreamTimeout))
	default:
		s.fail(v, upstreamDown, err)
	}
}

// buffers lends out the memory that answers are copied through.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, copyBuffer)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

// debugLog keeps the reverse proxy's remarks (mostly clients that left) out of
// an operator's sight until they are asked for.
type debugLog struct{ log *slog.Logger }

func (d debugLog) Write(p []byte) (int, error) {
	d.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}
