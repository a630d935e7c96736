package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

// prefix is the part of the URL space that is the gateway's own.
const prefix = "/.wxgate/"

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
	inbox     *inbox      // nil: off
	platform  *thirdParty // nil: off
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
	if (c.Component == nil) != (c.ComponentPush == nil) {
		return nil, errors.New("proxy: a third-party platform and what opens its pushes come together")
	}
	if len(c.ComponentAccounts) > 0 && c.Component == nil {
		return nil, errors.New("proxy: hosts are mapped to accounts, and there is no third-party platform")
	}
	s := &Server{
		cfg: c, log: c.Logger, metrics: c.Metrics, now: c.Now,
		hosts:    newHosts(c.PublicURL, c.AllowedHosts, c.ComponentAccounts),
		redeemer: session.NewRedeemer(c.Sessions),
		limit:    newLimiter(c.LoginRate, c.Now),
	}
	s.pairing = newPairing(s)
	s.sessions = newSessions(s)
	s.streams = newStreams(c.Metrics)
	s.im = newIMAccounts(s)
	s.hooks = newHooks(s)
	var lender wechat.Lender
	if c.Component != nil {
		lender = c.Component
	}
	s.tokens = wechat.NewServerTokens(c.WeChat, lender)
	s.followers = newFollowers(s)
	s.jssdk = newJSSDK(s, s.tokens)
	var app *messageApp
	if c.MessageForward != "" && (c.Push != nil || c.Component != nil) {
		var err error
		if app, err = newMessageApp(s, c.MessageForward); err != nil {
			return nil, err
		}
	}
	if c.Push != nil {
		s.inbox = newInbox(s, c.Push, c.MP.ID, app)
	}
	if c.Component != nil {
		s.platform = newThirdParty(s, app)
	}
	for _, u := range c.Upstreams {
		s.upstreams = append(s.upstreams, newUpstream(u, c.UpstreamTimeout))
	}
	c.Metrics.observe(s)
	return s, nil
}

// ServeHTTP is the order of a request. Removing look-alikes of our headers
// comes first, so that no later branch can forget it; everything after the
// gateway's own prefix concerns the app.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := s.begin(w, r)
	defer func() {
		if !v.upgraded { // else it ends with its tunnel
			s.end(v)
		}
	}()

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
	if s.cfg.Component != nil {
		workers.Go(func() { s.cfg.Component.Run(ctx) })
		workers.Go(func() { s.warnOfHosts(ctx) })
	}
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
	}
	delete(h, "Http2-Settings")
}
