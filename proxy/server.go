package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"text/template"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/yunxin"
)

// prefix is the part of the URL space that is the gateway's own.
const prefix = "/.wxgate/"

// Config is what a Server is built from. Fields without "optional" are
// required.
type Config struct {
	// PublicURL is the origin that browsers use; AllowedHosts are further
	// hosts that are served (optional).
	PublicURL    *url.URL
	AllowedHosts []string
	// CookieDomain tells that cookies are shared within it (optional).
	CookieDomain string

	Upstreams []Upstream
	// UpstreamTimeout is the time until the upstream's response headers.
	UpstreamTimeout time.Duration
	Rules           Rules
	// VerifyFiles are bodies by file name, served at the root (optional).
	VerifyFiles map[string]string
	// TrustedProxies are believed about the client's address (optional).
	TrustedProxies []netip.Prefix
	LoginRate      Rate
	// ForwardAuth serves the front proxies among TrustedProxies.
	ForwardAuth bool
	// Answers are calls that the gateway answers in the app's place.
	Answers Answers
	// KeepFragment starts logins from a page instead of a redirect.
	KeepFragment bool
	// Inject adds our script to the app's pages.
	Inject bool
	// ClearCookies of the app end with the session of a user.
	ClearCookies []AppCookie
	// AllowedOrigins are other origins whose WebSockets are accepted and
	// whose pages may call with credentials (optional).
	AllowedOrigins []string

	WeChat *wechat.Client
	// MP is the service account for logins inside WeChat.
	MP wechat.App
	// Web is the website app for QR logins, Mobile and Mini are the accounts
	// of native clients (all optional).
	Web, Mobile, Mini wechat.App
	// QR is how a PC logs in: "embed", "redirect" or "phone".
	QR string
	// SnapshotVisitors lets visitors of snapshot pages read.
	SnapshotVisitors bool
	// ProfileMaxAge is when a profile is old.
	ProfileMaxAge time.Duration
	// Platform names the open-platform account, the name space of unionids.
	Platform string
	// ConsentLogin asks for name and avatar at the first login already.
	ConsentLogin bool

	Sessions *session.Manager
	Users    *identity.Directory
	Signer   *identity.Signer
	// PlainHeaders sends the unsigned identity headers beside the assertion.
	PlainHeaders bool

	// Yunxin makes IM accounts for users; nil turns it off.
	Yunxin *Yunxin
	// DefaultName is the template of the name of a user without a profile.
	DefaultName *template.Template

	// Queue keeps, in the store, what is still to be done for users.
	Queue Queue
	// HookURL is where events about users are posted; it needs a directory
	// that announces them (optional).
	HookURL string
	// AdminToken opens the operator's API (optional), which needs Lister to
	// export all users.
	AdminToken string
	Lister     identity.Lister
	// Push receives what WeChat posts about the service account (optional),
	// and MessageForward is where the app gets its messages (optional).
	Push           *wechat.Push
	MessageForward string

	// Ping asks the store whether it is there.
	Ping func(context.Context) error

	Logger  *slog.Logger
	Metrics *Metrics
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Upstream is an app behind the gateway. Prefix is "/" or a path prefix; the
// longest one wins. URL is http, https, or unix with the socket's path.
type Upstream struct {
	Prefix string
	URL    *url.URL
}

// Yunxin says how IM accounts are made and handed out.
type Yunxin struct {
	Client *yunxin.Client
	// Secrets derive the static tokens, newest first.
	Secrets [][]byte
	// Required refuses a login without an account.
	Required bool
	// Dynamic hands out short-lived tokens instead of static ones.
	Dynamic  bool
	TokenTTL time.Duration
}

// Server is the gateway for browsers.
type Server struct {
	cfg       Config
	hosts     hosts
	upstreams []*upstream
	sessions  *sessions
	redeemer  *session.Redeemer
	limit     *limiter
	pairing   *pairing
	im        *imAccounts
	tokens    *wechat.ServerTokens
	hooks     *hooks
	followers *followers
	inbox     *inbox // nil: off
	jssdk     *jssdk
	streams   *streams
	log       *slog.Logger
	metrics   *Metrics
	now       func() time.Time
	storeUp   atomic.Bool
	storeSeen bool // the watch of the store has looked once
	draining  atomic.Bool
	// background are short pieces of work that no answer waits for.
	background sync.WaitGroup
}

// New builds a Server. Run has to run beside it.
func New(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if len(c.Upstreams) == 0 && !c.ForwardAuth {
		return nil, errors.New("proxy: no upstream given")
	}
	if c.Yunxin == nil && c.Answers.NeedsYunxin() {
		return nil, errors.New("proxy: answers use accounts at Yunxin, and there is no Yunxin")
	}
	if c.Queue == nil {
		return nil, errors.New("proxy: no queue given")
	}
	if c.AdminToken != "" && c.Lister == nil {
		return nil, errors.New("proxy: an admin token is given, and nothing to list users with")
	}
	s := &Server{
		cfg: c, log: c.Logger, metrics: c.Metrics, now: c.Now,
		hosts:    newHosts(c.PublicURL, c.AllowedHosts),
		redeemer: session.NewRedeemer(c.Sessions),
		limit:    newLimiter(c.LoginRate, c.Now),
	}
	s.pairing = newPairing(s)
	s.sessions = newSessions(s)
	s.streams = newStreams(c.Metrics)
	s.im = newIMAccounts(s)
	s.hooks = newHooks(s)
	s.tokens = wechat.NewServerTokens(c.WeChat, nil)
	s.followers = newFollowers(s)
	s.jssdk = newJSSDK(s, s.tokens)
	if c.Push != nil {
		var app *messageApp
		if c.MessageForward != "" {
			var err error
			if app, err = newMessageApp(s, c.MessageForward); err != nil {
				return nil, err
			}
		}
		s.inbox = newInbox(s, c.Push, c.MP.ID, app)
	}
	for _, u := range c.Upstreams {
		s.upstreams = append(s.upstreams, s.newUpstream(u))
	}
	c.Metrics.observe(s)
	return s, nil
}

// ServeHTTP is the order of a request. Removing look-alikes of our headers
// comes first, so that no later branch can forget it; everything after the
// gateway's own prefix concerns the app.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := s.begin(w, r)
	defer s.end(v)

	question := s.question(r) // the headers that it is in do not survive
	identity.Strip(r.Header)
	keepWebSocketOnly(r.Header)
	if question != nil {
		s.auth(v, question)
		return
	}

	if p, err := s.locate(v); p != nil {
		s.fail(v, p, err)
		return
	}
	if body, ok := s.cfg.VerifyFiles[v.path[1:]]; ok {
		s.verifyFile(v, body)
		return
	}
	if reserved(v.path) {
		s.own(v)
		return
	}
	if answered, _ := s.cfg.Answers.find(r.Method, v.path); answered != nil {
		s.answerCall(v, answered)
		return
	}
	switch demand, p, err := s.judge(v); {
	case err != nil:
		s.fail(v, p, err)
	case p != nil:
		s.refuse(v, p)
	case s.renew(v, v.live):
	default:
		s.forward(v, v.live, demand.token)
	}
}

// verifyFile answers WeChat's proof of domain ownership: exactly the body,
// no redirect, no login, on every host.
func (s *Server) verifyFile(v *visit, body string) {
	v.outcome = outcomeOwn
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		v.Header().Set("Allow", "GET, HEAD")
		s.fail(v, methodNotAllowed, nil)
		return
	}
	v.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.Header().Set("Cache-Control", "no-cache")
	v.write(http.StatusOK, []byte(body))
}

// Run keeps the server's background work going until ctx ends: it watches the
// store, finishes what is due for users, and ends streams whose session is over.
func (s *Server) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer s.background.Wait()
	defer workers.Wait()
	workers.Go(func() { s.im.run(ctx) })
	workers.Go(func() { s.runSettling(ctx) })
	workers.Go(func() { s.hooks.run(ctx) })
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		s.watchStore(ctx)
		s.watchStreams(ctx)
		s.sessions.sweep()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watchEvery paces the background look at the store and at open streams.
const watchEvery = 2 * time.Second

func (s *Server) watchStore(ctx context.Context) {
	ping, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	err := s.cfg.Ping(ping)
	was, first := s.storeUp.Swap(err == nil), !s.storeSeen
	s.storeSeen = true
	if (was != (err == nil) || first && err != nil) && ctx.Err() == nil {
		if err != nil {
			s.log.Error("the store does not answer; running sessions go on for a while, logins have to wait", "error", err)
		} else {
			s.log.Info("the store answers")
		}
	}
}

// Drain turns readiness off and is called once, when the process was told to
// stop.
func (s *Server) Drain() { s.draining.Store(true) }

// CloseStreams ends what never ends by itself: WebSockets, with a going-away
// close frame where one stands between two frames, and server-sent events.
func (s *Server) CloseStreams() { s.streams.endEndless() }

// keepWebSocketOnly removes every other way to turn a connection into
// something that the gateway cannot see into. An app that agrees to h2c would
// hand an anonymous client a raw tunnel.
func keepWebSocketOnly(h http.Header) {
	if u, ok := h["Upgrade"]; ok && !(len(u) == 1 && strings.EqualFold(u[0], "websocket")) {
		delete(h, "Upgrade")
		delete(h, "Connection")
	}
	delete(h, "Http2-Settings")
}
