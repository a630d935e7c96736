package proxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"time"

	"wxgate/proxy/transport"
)

// upstream is one app behind the gateway.
type upstream struct {
	prefix string
	scheme string
	host   string
	app    app
}

// app is whatever sends one request and returns its answer.
type app interface {
	Exchange(*http.Request, transport.Interim) (*http.Response, error)
}

const (
	dialTimeout = 5 * time.Second
	// idlePerHost keeps as many connections to the app as may be busy at
	// once; else one would be opened and closed for nearly every request
	// under load.
	idlePerHost     = 512
	idleTimeout     = 90 * time.Second
	continueTimeout = time.Second
	// maxAnswerHeader bounds the header of an app's answer.
	maxAnswerHeader = 256 << 10
)

func newUpstream(u Upstream, timeout time.Duration) *upstream {
	up := &upstream{prefix: u.Prefix, scheme: u.URL.Scheme, host: u.URL.Host}
	switch u.URL.Scheme {
	case "https":
		up.app = tlsApp{newStandardTransport(timeout), u.URL.Host}
	case "unix":
		up.scheme, up.host = "http", "localhost"
		up.app = newTransport("unix", u.URL.Path, timeout)
	default:
		address := u.URL.Host
		if u.URL.Port() == "" {
			address = net.JoinHostPort(u.URL.Hostname(), "80")
		}
		up.app = newTransport("tcp", address, timeout)
	}
	return up
}

func newTransport(network, address string, timeout time.Duration) *transport.Transport {
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

// newStandardTransport is the standard library's: without environment proxies,
// which are not for the way to the app, and without compression, which is
// between the browser and the app.
func newStandardTransport(timeout time.Duration) *http.Transport {
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

// tlsApp is an app that wants TLS.
type tlsApp struct {
	transport *http.Transport
	host      string
}

// Exchange gives the standard transport what it needs beyond a request target.
func (a tlsApp) Exchange(r *http.Request, interim transport.Interim) (*http.Response, error) {
	path, query, found := strings.Cut(r.RequestURI, "?")
	target := &url.URL{Scheme: "https", Host: a.host, Opaque: path, RawQuery: query, ForceQuery: found && query == ""}
	if strings.HasPrefix(path, "//") {
		// An opaque part that begins like this is taken for an authority.
		target.Opaque, target.Path, target.RawPath = "", r.URL.Path, r.URL.RawPath
	}
	r.URL = target
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = nil // or it would invent one
	}
	// RoundTrip may return while a goroutine of its connection is in the hook.
	var mu sync.Mutex
	returned := false
	defer func() {
		mu.Lock()
		returned = true
		mu.Unlock()
	}()
	return a.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			if returned {
				return nil
			}
			return interim.Interim(code, http.Header(h))
		},
	})))
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
