package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"wxgate/identity"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/yunxin"
)

const (
	// maxBatch bounds how many users one call asks for.
	maxBatch = 200
	// batchParallel is how many of them are read at once.
	batchParallel = 16
	maxBatchBody  = 16 << 10
)

// App serves the app's own listener: WeChat and Yunxin without their secrets,
// and users. Whoever reaches it acts as the app, so it is for the app alone.
// local says that it listens on loopback, where a web page in a browser of the
// same machine is the only other one who could: by its own script or, with a
// name that it lets point here, as if it were of the same origin.
//
// Paths are read as they are written and never cleaned, because what follows
// the first segments is WeChat's or Yunxin's to read.
func (s *Server) App(local bool) http.Handler {
	return s.api(func(c *apiCall) error {
		h := c.r.Header
		if h.Get("Origin") != "" || h.Get("Sec-Fetch-Site") != "" || local && !loopbackHost(c.r.Host) {
			return refused(foreignOrigin, "This listener is for the app's server, not for browsers.")
		}
		kind, rest, _ := strings.Cut(strings.TrimPrefix(c.r.URL.EscapedPath(), "/"), "/")
		switch kind {
		case "wechat":
			c.r.Pattern = "/wechat/{appid}/{path}"
			appID, path, _ := strings.Cut(rest, "/")
			return s.appWeChat(c, appID, path)
		case "yunxin":
			c.r.Pattern = "/yunxin/{path}"
			return s.appYunxin(c, "/"+rest)
		case "users":
			return s.appUsers(c, rest)
		}
		return refused(notFound, "%s", notFound.message)
	})
}

func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// appWeChat calls WeChat with the account's token.
func (s *Server) appWeChat(c *apiCall, appID, path string) error {
	app, err := s.appAccount(c.r.Context(), appID)
	if err != nil {
		return err
	}
	c.streamBoth()
	res, err := s.tokens.Do(c.r.Context(), app, wechat.Call{
		Method: c.r.Method, Path: path, RawQuery: c.r.URL.RawQuery, Header: c.r.Header, Body: c.r.Body, ContentLength: c.r.ContentLength,
	})
	if errors.Is(err, wechat.ErrCallRefused) {
		return refused(badRequest, "This call is not for an app: %s.", strings.TrimPrefix(err.Error(), "wechat: "+wechat.ErrCallRefused.Error()+": "))
	}
	if err != nil {
		return err
	}
	return c.relay(res)
}

// appAccount is the account that the app may act as: one of our own, or one that
// authorized the third-party platform. The platform itself is none of them.
func (s *Server) appAccount(ctx context.Context, appID string) (wechat.App, error) {
	for _, own := range []wechat.App{s.cfg.MP, s.cfg.Mini} {
		if own.ID != "" && own.ID == appID {
			return own, nil
		}
	}
	p := s.cfg.Component
	if p == nil {
		return wechat.App{}, refused(notFound, "There is no service account or mini program with this appid here.")
	}
	switch a, found, err := findAuthorizer(ctx, p, appID); {
	case err != nil:
		return wechat.App{}, err
	case !found:
		return wechat.App{}, refused(notFound, "There is no service account or mini program with this appid here, and none that authorized the third-party platform.")
	case a.Status == component.StatusPending:
		return wechat.App{}, refused(wechatUnavailable, "The authorization of this account is not completed yet; try again soon.")
	case a.Status != component.StatusAuthorized:
		return wechat.App{}, component.ErrNotAuthorized
	}
	return wechat.App{ID: appID}, nil
}

// appYunxin signs a call to Yunxin.
func (s *Server) appYunxin(c *apiCall, path string) error {
	if s.im.cfg == nil {
		return refused(notFound, "There is no Yunxin here.")
	}
	c.streamBoth()
	q := yunxin.Call{
		Method: c.r.Method, Path: path, RawQuery: c.r.URL.RawQuery, ContentType: c.r.Header.Get("Content-Type"), Length: c.r.ContentLength,
	}
	if c.r.ContentLength != 0 {
		q.Body = c.r.Body
	}
	res, err := s.im.cfg.Client.Do(c.r.Context(), q)
	if api, ok := errors.AsType[*yunxin.APIError](err); ok {
		switch api.Kind() {
		case yunxin.KindBadRequest:
			return refused(badRequest, "Yunxin cannot be called so: %s.", api.Desc)
		case yunxin.KindRate:
			return refused(rateLimited, "Yunxin has shut this interface for a few seconds: too many calls.")
		}
	}
	if err != nil {
		return err
	}
	return c.relay(res)
}

// streamBoth lets the answer begin while the body is still being read. An answer
// that does not wait for the end of the body ends the connection: net/http would
// read on while it looks for the next request already.
func (c *apiCall) streamBoth() {
	http.NewResponseController(c.ResponseWriter).EnableFullDuplex()
	if c.r.ContentLength != 0 {
		body := &endMark{ReadCloser: c.r.Body}
		c.r.Body, c.unread = body, body.unread
	}
}

// endMark knows whether a body was read to its end.
type endMark struct {
	io.ReadCloser
	ended atomic.Bool
}

func (m *endMark) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if err == io.EOF {
		m.ended.Store(true)
	}
	return n, err
}

func (m *endMark) unread() bool { return !m.ended.Load() }

// relay passes an answer on as it comes.
func (c *apiCall) relay(res *http.Response) error {
	defer res.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition", "Content-Encoding", "Content-Range", "Retry-After"} {
		if values := res.Header.Values(name); len(values) > 0 {
			c.Header()[name] = values
		}
	}
	c.WriteHeader(res.StatusCode)
	flush := http.NewResponseController(c.ResponseWriter)
	buf := make([]byte, 32<<10)
	for {
		n, err := res.Body.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				panic(http.ErrAbortHandler) // the app is gone
			}
			flush.Flush()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err // cuts the connection, or half an answer would pass for a whole one
		}
	}
}

func (s *Server) appUsers(c *apiCall, rest string) error {
	id, part, more := strings.Cut(rest, "/")
	switch {
	case rest == "batch":
		c.r.Pattern = "/users/batch"
		return c.dispatch(map[string]func(*apiCall) error{"POST": s.appBatch})
	case !more:
		c.r.Pattern = "/users/{id}"
		return c.dispatch(map[string]func(*apiCall) error{"GET": func(c *apiCall) error { return s.appUser(c, id) }})
	case part == "yunxin":
		c.r.Pattern = "/users/{id}/yunxin"
		return c.dispatch(map[string]func(*apiCall) error{"GET": func(c *apiCall) error { return s.appUserYunxin(c, id) }})
	}
	return refused(notFound, "%s", notFound.message)
}

func (s *Server) appUser(c *apiCall, id string) error {
	u, found, err := s.cfg.Users.User(c.r.Context(), id)
	switch {
	case err != nil:
		return err
	case !found:
		return identity.ErrNotFound
	}
	return c.json(http.StatusOK, u)
}

// appUserYunxin answers what the user's own page gets, for an app whose server
// connects in the user's place.
func (s *Server) appUserYunxin(c *apiCall, id string) error {
	if s.im.cfg == nil {
		return refused(notFound, "There is no Yunxin here.")
	}
	u, found, err := s.cfg.Users.User(c.r.Context(), id)
	switch {
	case err != nil:
		return err
	case !found:
		return identity.ErrNotFound
	case u.Status == identity.StatusErased:
		return identity.ErrErased
	case u.Status == identity.StatusBlocked:
		return refused(userBlocked, "%s", userBlocked.message)
	}
	if u, err = s.imReady(c.r.Context(), u); err != nil {
		if accountProblem(err) == accountUnavailable {
			return refused(accountUnavailable, "%s", accountUnavailable.message)
		}
		return err
	}
	return c.json(http.StatusOK, s.imAnswer(u))
}

// appBatch reads many users at once, in the order of the ids. Ids that nobody
// has are listed as missing; one of a user that was merged gets the survivor,
// whose aliases name it.
func (s *Server) appBatch(c *apiCall) error {
	var q struct {
		IDs []string `json:"ids"`
	}
	if err := c.body(maxBatchBody, &q); err != nil {
		return err
	}
	if len(q.IDs) == 0 || len(q.IDs) > maxBatch {
		return refused(badRequest, "ids must hold 1 to %d user ids.", maxBatch)
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), batchLimit)
	defer cancel()
	users := make([]*identity.User, len(q.IDs))
	readers, ctx := errgroup.WithContext(ctx)
	readers.SetLimit(batchParallel)
	for i, id := range q.IDs {
		readers.Go(func() (err error) {
			users[i], _, err = s.cfg.Users.User(ctx, id)
			return err
		})
	}
	if err := readers.Wait(); err != nil {
		return err
	}
	answer := struct {
		Users   []*identity.User `json:"users"`
		Missing []string         `json:"missing"`
	}{[]*identity.User{}, []string{}}
	for i, u := range users {
		if u == nil {
			answer.Missing = append(answer.Missing, q.IDs[i])
		} else {
			answer.Users = append(answer.Users, u)
		}
	}
	return c.json(http.StatusOK, answer)
}

// batchLimit bounds the reading of a batch.
const batchLimit = 10 * time.Second
