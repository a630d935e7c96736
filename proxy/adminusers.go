package proxy

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"wxgate/identity"
	"wxgate/session"
)

// The operator's calls about users. Each answers a user in the shape in which
// identity keeps and exports it. An id of a user that was merged stands for the
// one that it became, in every call.

const (
	// maxOrder bounds the body of a call about one user, in bytes.
	maxOrder = 4 << 10
	// maxLookup bounds what a user is looked up by, in bytes; WeChat's ids
	// have 18 to 28.
	maxLookup = 128
)

// findUser looks a user up by an account or by a unionid.
func (s *Server) findUser(c *apiCall) error {
	by, err := c.parameters("appid", "openid", "unionid", "platform")
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	var u *identity.User
	var found bool
	switch {
	case by["appid"] != "" && by["openid"] != "" && len(by) == 2:
		u, found, err = s.cfg.Users.Find(ctx, by["appid"], by["openid"])
	case by["unionid"] != "" && len(by) == 1:
		u, found, err = s.cfg.Users.FindUnionID(ctx, s.cfg.Platform, by["unionid"])
	case by["unionid"] != "" && by["platform"] != "" && len(by) == 2:
		u, found, err = s.cfg.Users.FindUnionID(ctx, by["platform"], by["unionid"])
	default:
		return refused(badRequest, "Ask by appid and openid, or by unionid and, where it is not %s, platform.", s.cfg.Platform)
	}
	return c.user(u, found, err)
}

// parameters reads a query in which each of these names may stand once, with a
// value.
func (c *apiCall) parameters(names ...string) (map[string]string, error) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, refused(badRequest, "The query is malformed.")
	}
	by := map[string]string{}
	for name, values := range query {
		switch {
		case !slices.Contains(names, name):
			return nil, refused(badRequest, "There is an unknown parameter.")
		case len(values) > 1:
			return nil, refused(badRequest, "The parameter %s is there more than once.", name)
		case values[0] == "":
			return nil, refused(badRequest, "The parameter %s is empty.", name)
		case len(values[0]) > maxLookup:
			return nil, refused(badRequest, "The parameter %s has more than %d bytes.", name, maxLookup)
		}
		by[name] = values[0]
	}
	return by, nil
}

// user answers with a user that was looked for.
func (c *apiCall) user(u *identity.User, found bool, err error) error {
	if err != nil {
		return err
	}
	if !found {
		return identity.ErrNotFound
	}
	return c.json(http.StatusOK, u)
}

// showUser shows a user; of an erased one, what is left.
func (s *Server) showUser(c *apiCall) error {
	u, found, err := s.cfg.Users.User(c.r.Context(), c.r.PathValue("id"))
	return c.user(u, found, err)
}

// sessionAnswer is a session as the operator may know it: nothing in it opens
// anything.
type sessionAnswer struct {
	SID       string    `json:"sid"`
	Channel   string    `json:"channel"`
	CreatedAt time.Time `json:"created_at"`
	LastSeen  time.Time `json:"last_seen"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (s *Server) showSessions(c *apiCall) error {
	ctx := c.r.Context()
	u, found, err := s.cfg.Users.User(ctx, c.r.PathValue("id"))
	switch {
	case err != nil:
		return err
	case !found:
		return identity.ErrNotFound
	case u.Status == identity.StatusErased:
		return identity.ErrErased
	}
	open, _, err := s.sessionsOf(ctx, u)
	if err != nil {
		return err
	}
	slices.SortFunc(open, func(a, b *session.Session) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.SID(), b.SID()))
	})
	second := func(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
	answers := []sessionAnswer{}
	for _, x := range open {
		answers = append(answers, sessionAnswer{x.SID(), x.Channel, second(x.CreatedAt), second(x.LastSeen), second(x.ExpiresAt)})
	}
	return c.json(http.StatusOK, struct {
		Sessions []sessionAnswer `json:"sessions"`
	}{answers})
}

// sessionsOf finds the sessions that u has, and those of its former ones whose
// records are still there. A session carries the id that its login found, and
// whose it is may have changed since.
func (s *Server) sessionsOf(ctx context.Context, u *identity.User) (open, over []*session.Session, err error) {
	all, err := s.cfg.Sessions.Sessions(ctx, u.SessionIDs()...)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range all {
		now, found, err := s.cfg.Users.Current(ctx, x.User, x.AppID, x.OpenID)
		switch {
		case err != nil:
			return nil, nil, err
		case !found || now.ID != u.ID:
		case x.Epoch < now.SessionEpoch(x.User):
			over = append(over, x)
		default:
			open = append(open, x)
		}
	}
	return open, over, nil
}

// closeSessions ends all sessions of a user. What decides is the user's record;
// that theirs go from the store right after is for tidiness.
func (s *Server) closeSessions(c *apiCall) error {
	ctx := c.r.Context()
	u, err := s.endSessions(ctx, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	s.ordered(c, "sessions ended", u.ID)
	_, over, err := s.sessionsOf(ctx, u)
	for _, x := range over {
		err = cmp.Or(err, s.cfg.Sessions.End(ctx, x.Key()))
	}
	if err != nil {
		s.log.Warn("what is stored of ended sessions could not be deleted; it goes when its time is over", "id", c.id, "user", u.ID, "error", err)
	}
	return c.done()
}

// forgetSessions deletes what is stored of the sessions of an erased user: it
// names accounts. record still has those accounts.
func (s *Server) forgetSessions(ctx context.Context, record *identity.User) error {
	if err := s.cfg.Sessions.Forget(ctx, append([]string{record.ID}, record.Aliases...)...); err != nil {
		return err
	}
	// Where the user was split off, sessions of its account carry the id of
	// the former user, who keeps all others.
	all, err := s.cfg.Sessions.Sessions(ctx, record.SessionIDs()...)
	if err != nil {
		return err
	}
	for _, x := range all {
		if record.Account(x.AppID, x.OpenID) == nil {
			continue
		}
		if err := s.cfg.Sessions.End(ctx, x.Key()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) block(c *apiCall) error   { return s.order(c, "blocked", s.blockUser) }
func (s *Server) unblock(c *apiCall) error { return s.order(c, "unblocked", s.unblockUser) }

func (s *Server) order(c *apiCall, what string, do func(context.Context, string) (*identity.User, error)) error {
	u, err := do(c.r.Context(), c.r.PathValue("id"))
	if err != nil {
		return err
	}
	s.ordered(c, what, u.ID)
	return c.json(http.StatusOK, u)
}

// ordered notes what an operator did.
func (s *Server) ordered(c *apiCall, what, user string, more ...any) {
	s.log.Info("by the operator: "+what, append([]any{"id", c.id, "user", user}, more...)...)
}

// merge makes another user this one.
func (s *Server) merge(c *apiCall) error {
	var q struct {
		From string `json:"from"`
	}
	if err := c.body(maxOrder, &q); err != nil {
		return err
	}
	if !identity.ValidID(q.From) {
		return refused(badRequest, "The member \"from\" is not a user id.")
	}
	u, err := s.mergeUsers(c.r.Context(), c.r.PathValue("id"), q.From)
	if err != nil {
		return err
	}
	s.ordered(c, "merged", u.ID, "from", q.From)
	return c.json(http.StatusOK, u)
}

// split gives an account of this user a user of its own. The answer has both,
// this one as "user" and the new one as "split".
func (s *Server) split(c *apiCall) error {
	var q struct {
		Account struct {
			AppID  string `json:"appid"`
			OpenID string `json:"openid"`
		} `json:"account"`
	}
	if err := c.body(maxOrder, &q); err != nil {
		return err
	}
	if q.Account.AppID == "" || q.Account.OpenID == "" {
		return refused(badRequest, "The member \"account\" needs appid and openid.")
	}
	former, fresh, err := s.splitUser(c.r.Context(), c.r.PathValue("id"), q.Account.AppID, q.Account.OpenID)
	if err != nil {
		return err
	}
	s.ordered(c, "split", former.ID, "split", fresh.ID)
	return c.json(http.StatusOK, struct {
		User  *identity.User `json:"user"`
		Split *identity.User `json:"split"`
	}{former, fresh})
}

// erase forgets a person. Erased before is as good.
func (s *Server) erase(c *apiCall) error {
	id := c.r.PathValue("id")
	if err := s.eraseUser(c.r.Context(), id); err != nil {
		return err
	}
	s.ordered(c, "erased", id)
	return c.done()
}

// done answers that there is nothing to say.
func (c *apiCall) done() error {
	c.WriteHeader(http.StatusNoContent)
	return nil
}
