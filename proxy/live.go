package proxy

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"wxgate/identity"
	"wxgate/session"
)

const (
	// cacheLife is how long a session is served without asking the store. It
	// bounds how long a revoked session lives on another replica.
	cacheLife = 5 * time.Second
	// graceLife is how long a known session goes on when the store cannot be
	// asked: an outage is not a logout.
	graceLife = time.Minute
	// graceRetry paces the store look-ups of a session during an outage.
	graceRetry = time.Second
	// loadLimit bounds one look at the store.
	loadLimit = 3 * time.Second
)

// live is a session as requests need it: read once, then only looked at. It is
// never changed, a newer one takes its place.
type live struct {
	key     string
	session *session.Session // nil: there is no such session (any more)
	user    *identity.User
	headers identity.Headers
	// snapshot tells of a visitor of a snapshot page: user is nobody then.
	snapshot bool

	checked   time.Time // when the store was asked, taken before it was
	recheckAt time.Time // when it has to be asked again
	resignAt  time.Time // when less than half of the assertion's life is left
	imToken   []string  // the header value of the user's Yunxin token, where that lasts
	content   string    // what the assertion says, to know when it must change
}

// fresh reports that requests may go on with it and nothing has to be asked.
func (l *live) fresh(now time.Time) bool {
	return l != nil && now.Before(l.recheckAt) && (l.session == nil || now.Before(l.resignAt))
}

// sessions is the cache between requests and the store.
type sessions struct {
	s       *Server
	now     func() time.Time
	flights singleflight.Group
	entries *entries
}

func newSessions(s *Server) *sessions {
	return &sessions{s: s, now: s.now, entries: newEntries()}
}

// session finds the session of a request. None is not an error; an error means
// that the store could not tell.
func (s *Server) session(v *visit) (*live, error) {
	token := s.cfg.Sessions.Token(v.r.Header)
	if token == "" {
		return nil, nil
	}
	l, err := s.sessions.get(v.r.Context(), token)
	if err != nil || l == nil {
		return nil, err
	}
	v.live = l
	return l, nil
}

// get returns the live session of a token, nil if there is none.
func (c *sessions) get(ctx context.Context, token string) (*live, error) {
	now := c.now()
	e := c.entries.byToken(token)
	if e == nil {
		if e = c.newEntry(token); e == nil {
			return nil, nil
		}
		e = c.entries.keep(token, e, now)
	}
	if e.over.Load() {
		return nil, nil
	}
	e.use(now)
	l := e.cur.Load()
	if l.fresh(now) {
		c.s.metrics.lookupCache.Inc()
	} else {
		var err error
		if l, err = c.refresh(ctx, e, 0); err != nil {
			return nil, err
		}
	}
	if l.session == nil || !now.Before(l.session.ExpiresAt) || e.over.Load() {
		return nil, nil
	}
	return l, nil
}

// newEntry reads a token, without asking the store; nil if it is none of ours.
func (c *sessions) newEntry(token string) *entry {
	if s, ok := c.s.cfg.Sessions.Visitor(token); ok {
		return &entry{key: s.Key(), visitor: s}
	}
	key, ok := c.s.cfg.Sessions.Key(token)
	if !ok {
		return nil
	}
	return &entry{key: key, hint: c.s.cfg.Sessions.Hint(token)}
}

// refresh asks the store again, once for all requests that wait for the same
// session. A state that is younger than maxAge is good enough; without maxAge,
// one that became fresh while the request was on its way here.
func (c *sessions) refresh(ctx context.Context, e *entry, maxAge time.Duration) (*live, error) {
	flight := c.flights.DoChan(e.key, func() (any, error) {
		old := e.cur.Load()
		now := c.now()
		if maxAge == 0 && old.fresh(now) || maxAge > 0 && old != nil && now.Sub(old.checked) < maxAge {
			return old, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
		defer cancel()
		l, err := c.load(ctx, e, old)
		if err == nil {
			e.cur.Store(l)
			return l, nil
		}
		if old == nil || old.session == nil || c.now().Sub(old.checked) >= graceLife {
			return nil, err
		}
		kept := *old
		kept.recheckAt = c.now().Add(graceRetry)
		if l, err = c.signed(&kept, old); err != nil {
			return nil, err
		}
		e.cur.Store(l)
		return l, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case f := <-flight:
		if f.Err != nil {
			return nil, f.Err
		}
		return f.Val.(*live), nil
	}
}

func (c *sessions) load(ctx context.Context, e *entry, old *live) (*live, error) {
	now := c.now()
	l := &live{key: e.key, checked: now, recheckAt: now.Add(cacheLife)}
	if e.visitor != nil {
		l.session, l.user, l.snapshot = e.visitor, &identity.User{Status: identity.StatusActive}, true
		return c.signed(l, old)
	}
	c.s.metrics.lookupStore.Inc()
	users := c.records(e, old)
	s, values, err := c.s.cfg.Sessions.LoadWith(ctx, e.key, users...)
	if err != nil || s == nil {
		return l, err
	}
	read := identity.Read{}
	for i, key := range users {
		read[key] = values[i]
	}
	// The user that the login found may be another one by now.
	user, found, err := c.s.cfg.Users.Having(read).Current(ctx, s.User, s.AppID, s.OpenID)
	if err != nil {
		return nil, err
	}
	if !found || user.Status == identity.StatusErased || s.Epoch < user.SessionEpoch(s.User) {
		// Over for good; what is stored of it may go. If it stays, its time ends it.
		_ = c.s.cfg.Sessions.End(ctx, e.key)
		return l, nil
	}
	if s.UnionID == "" {
		s.UnionID = user.Unionids[c.s.cfg.Platform] // learned after a silent login
	}
	l.session, l.user = s, user
	return c.signed(l, old)
}

// records are the keys of the user records that the session of an entry will
// probably ask for: that of the user whom its login found, and that of whom the
// user became. Read along with the session they cost no round trip. Nothing is
// believed because of it: a session asks for the records of its own user, and
// what was not read yet it has read.
func (c *sessions) records(e *entry, old *live) (keys []string) {
	ids := []string{e.hint}
	if old != nil && old.session != nil {
		ids = []string{old.session.User, old.user.ID}
	}
	for _, id := range ids {
		if key := identity.RecordKey(id); key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// end ends a session everywhere: here at once, on other replicas when their
// cache runs out. Its streams are closed.
func (c *sessions) end(ctx context.Context, key string) error {
	if err := c.s.cfg.Sessions.End(ctx, key); err != nil {
		return err
	}
	if e := c.entries.byKey(key); e != nil {
		e.over.Store(true)
	}
	c.s.streams.end(key)
	return nil
}

// staleUser makes the next request of every session of these users ask the
// store.
func (c *sessions) staleUser(ids ...string) {
	c.entries.each(func(e *entry) {
		if l := e.cur.Load(); l != nil && l.user != nil && slices.Contains(ids, l.user.ID) {
			e.cur.CompareAndSwap(l, nil)
		}
	})
}

// alive asks, with a state of at most maxAge, whether a session still lives.
// When in doubt it does.
func (c *sessions) alive(ctx context.Context, key string, maxAge time.Duration) bool {
	now := c.now()
	e := c.entries.byKey(key)
	if e == nil {
		e = c.entries.keep("", &entry{key: key}, now)
	}
	e.use(now)
	l, err := c.refresh(ctx, e, maxAge)
	if err != nil {
		l = e.cur.Load() // what is known already holds in an outage too
	}
	if l == nil {
		return !e.over.Load()
	}
	return l.session != nil && c.now().Before(l.session.ExpiresAt) && !e.over.Load() && l.user.Status != identity.StatusBlocked
}

// sweep forgets what nobody asked for lately.
func (c *sessions) sweep() { c.entries.sweep(c.now()) }

// size is how many sessions are held.
func (c *sessions) size() int { return c.entries.size() }
