package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultAPIURL  = "https://api.weixin.qq.com"
	defaultOpenURL = "https://open.weixin.qq.com"
	defaultMPURL   = "https://mp.weixin.qq.com"

	// callTimeout bounds one call from dial to the last byte of the body. WeChat
	// answers in well under a second; somebody is looking at a white page.
	callTimeout = 10 * time.Second

	// maxBody bounds an answer. The longest genuine one is a few KiB.
	maxBody = 1 << 20
)

// Config of a Client. The zero value talks to WeChat itself.
type Config struct {
	// APIURL is the base of the server interfaces, without a trailing slash;
	// default https://api.weixin.qq.com.
	APIURL string
	// OpenURL is the base of the pages that browsers are sent to; default
	// https://open.weixin.qq.com.
	OpenURL string
	// MPURL is the base of the pages for administrators of accounts; default
	// https://mp.weixin.qq.com.
	MPURL string
	// HTTP makes the calls. It is copied: redirects are never followed, cookies
	// never kept, and without a Timeout it gets 10 seconds. Default: a client of
	// its own that honours the proxy variables of the environment.
	HTTP *http.Client
	// Observe is called once after each call to WeChat. Both labels come from
	// closed sets: api is the path without its first slash, "app_api" for all of
	// [ServerTokens.Do], class is "ok",
	// "unavailable" or the text of a Kind.
	Observe func(api, class string, took time.Duration)
	// Now is the clock that measures calls; default time.Now.
	Now func() time.Time
}

// Client calls WeChat. It is safe for concurrent use.
type Client struct {
	apiURL  string
	openURL string
	mpURL   string
	http    *http.Client
	observe func(api, class string, took time.Duration)
	now     func() time.Time
}

// App is one appid with its secret. Without one it is an account that authorized a
// third-party platform, see [Lender].
type App struct{ ID, Secret string }

// New returns a Client. It makes no call.
func New(cfg Config) *Client {
	c := &Client{
		apiURL:  strings.TrimSuffix(cfg.APIURL, "/"),
		openURL: strings.TrimSuffix(cfg.OpenURL, "/"),
		mpURL:   strings.TrimSuffix(cfg.MPURL, "/"),
		observe: cfg.Observe,
		now:     cfg.Now,
	}
	if c.apiURL == "" {
		c.apiURL = defaultAPIURL
	}
	if c.openURL == "" {
		c.openURL = defaultOpenURL
	}
	if c.mpURL == "" {
		c.mpURL = defaultMPURL
	}
	if c.observe == nil {
		c.observe = func(string, string, time.Duration) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Transport: newTransport()}
	}
	client := *cfg.HTTP
	if client.Timeout == 0 {
		client.Timeout = callTimeout
	}
	client.Jar = nil
	// WeChat never redirects these calls. Following one would hand secret and
	// code to whoever is named there, in the Referer if not in the URL.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &client
	return c
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 9 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   32,
		// Short, because an exchange that meets a connection just closed by the
		// other side fails: it may not be repeated.
		IdleConnTimeout: 30 * time.Second,
	}
}

// request is one call of a server interface: a GET, or a POST if it has a body.
type request struct {
	api   string // path without its first slash
	query url.Values
	body  map[string]any // sent as JSON
	// hide names the parameters, of query or body, whose values must not show in
	// any error.
	hide []string
	// once forbids net/http its own silent repetition.
	once bool
}

// call makes the request, hands the answer to read, and observes the outcome.
// An error of read counts as an answer that makes no sense.
func (c *Client) call(ctx context.Context, req request, read func(reply) error) error {
	start := c.now()
	err := c.attempt(ctx, req, read)
	c.observe(req.api, class(err), c.now().Sub(start))
	return err
}

func (c *Client) attempt(ctx context.Context, req request, read func(reply) error) error {
	s := newScrubber(req)
	status, body, err := c.fetch(ctx, req)
	if err != nil {
		return &UnavailableError{API: req.api, Status: status, Err: s.error(err)}
	}
	r, err := parse(body)
	if err != nil {
		return &UnavailableError{API: req.api, Status: status, Err: s.error(err)}
	}
	code, err := r.errcode()
	if err != nil {
		return &UnavailableError{API: req.api, Status: status, Err: err}
	}
	if code != 0 {
		return newAPIError(req.api, code, r.text("errmsg"), s)
	}
	if err := read(r); err != nil {
		return &UnavailableError{API: req.api, Status: status, Err: err}
	}
	return nil
}

func (c *Client) fetch(ctx context.Context, req request) (status int, body []byte, err error) {
	out, err := c.build(ctx, req)
	if err != nil {
		return 0, nil, err
	}
	in, err := c.http.Do(out)
	if err != nil {
		return 0, nil, err
	}
	defer in.Body.Close()
	if in.StatusCode < 200 || in.StatusCode > 299 {
		return in.StatusCode, nil, fmt.Errorf("answered with HTTP status %d", in.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(in.Body, maxBody+1))
	if err != nil {
		return in.StatusCode, nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxBody {
		return in.StatusCode, nil, fmt.Errorf("answer longer than %d bytes", maxBody)
	}
	return in.StatusCode, body, nil
}

func (c *Client) build(ctx context.Context, req request) (*http.Request, error) {
	method, link := http.MethodGet, c.apiURL+"/"+req.api
	if len(req.query) > 0 {
		link += "?" + req.query.Encode()
	}
	var send io.Reader
	var length int64
	switch {
	case req.body != nil:
		encoded, err := encode(req.body)
		if err != nil {
			return nil, err
		}
		method, send, length = http.MethodPost, bytes.NewReader(encoded), int64(len(encoded))
		if req.once {
			send = unrepeatable{send}
		}
	case req.once:
		send = unrepeatable{strings.NewReader("")}
	}
	out, err := http.NewRequestWithContext(ctx, method, link, send)
	if err != nil {
		return nil, err
	}
	out.Header.Set("User-Agent", "wxgate")
	if req.body != nil {
		out.ContentLength = length
		out.Header.Set("Content-Type", "application/json")
	}
	return out, nil
}

// encode writes characters as they are. WeChat does not read \u escapes everywhere
// (see [ServerTokens.SetMenu]), and encoding/json makes them of & < > if it is let.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// unrepeatable is a request body that cannot be rewound. For an empty one net/http
// sends nothing, but no longer takes the GET for one that it may send again by
// itself when a kept-alive connection dies before the answer: by then WeChat may
// have used up the code. A POST it repeats only if it believes that the other side
// had closed the connection before; now not even then.
type unrepeatable struct{ io.Reader }
