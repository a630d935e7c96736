package component

import (
	"errors"
	"time"

	"wxgate/wechat"
)

// seenToken is what this process knows of a token.
type seenToken struct {
	token string
	early time.Time // when it is to be renewed
	last  time.Time // when it is not handed out any more
	look  time.Time // when to look into the store again
	// void is a token that WeChat refused; refusal is why none could be minted.
	void    string
	refusal error
}

// seen is what can be answered without the store.
func (s tokenSource) seen() (seenToken, bool) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	seen, known := s.p.seen[s.key]
	now := s.p.now()
	return seen, known && now.Before(seen.look) && (seen.refusal != nil || now.Before(seen.last) && now.Before(seen.early))
}

func (s tokenSource) remember(seen seenToken) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.seen[s.key] = seen
}

// drop notes that WeChat called a token void, unless it was replaced already.
func (s tokenSource) drop(token string) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if seen := s.p.seen[s.key]; seen.token == token {
		s.p.seen[s.key] = seenToken{void: token}
	}
}

// voided is the token that this process knows to be void.
func (s tokenSource) voided() string {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.seen[s.key].void
}

func (s tokenSource) see(a access, token string, early time.Time) {
	now := s.p.now()
	s.remember(seenToken{
		token: token, early: laterOf(early, now.Add(time.Second)), last: a.ExpiresAt.Add(-lastMoment), look: now.Add(seenLife),
	})
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// change is what refuse has to know: whether something came meanwhile that may end
// the refusal.
func (s tokenSource) change() int {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.changes
}

// refuse remembers for a moment why there is no token. Whoever needs one may be
// anybody's page, which signs for the JS-SDK without a session. since is the change
// before anything was looked at: a ticket that came after that ends the refusal
// before it is remembered.
func (s tokenSource) refuse(err error, since int) error {
	life := refusalLife
	_, refused := errors.AsType[*wechat.APIError](err)
	_, away := errors.AsType[*wechat.UnavailableError](err)
	switch {
	case away:
		life = awayLife
	case !refused && !errors.Is(err, ErrNoGrant) && !errors.Is(err, ErrNoTicket) && err != ErrVoidAtOnce:
		return err // the store's
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.changes != since {
		return err
	}
	seen := s.p.seen[s.key]
	s.p.seen[s.key] = seenToken{refusal: err, look: s.p.now().Add(life), void: seen.void}
	return err
}

// forget lets the next one look into the store.
func (s tokenSource) forget() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.changes++
	delete(s.p.seen, s.key)
}

// forgetRefusal lets the next one ask again.
func (s tokenSource) forgetRefusal() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.changes++
	if s.p.seen[s.key].refusal != nil {
		delete(s.p.seen, s.key)
	}
}
