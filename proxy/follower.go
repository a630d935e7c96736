package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

const (
	// followerLimit bounds one question.
	followerLimit = 5 * time.Second
	// maxFollowers questions run at once. The rest is dropped: the next login
	// asks again.
	maxFollowers = 16
	// followerPause is how long nobody is asked about after WeChat's answer showed that
	// it would be in vain, and how long a person is not asked about again.
	followerPause = 10 * time.Minute
	// followerOutage is how long nobody is asked about while WeChat does not answer.
	followerOutage = time.Minute
	// maxFollowersAsked people are remembered as asked about.
	maxFollowersAsked = 20_000
)

// followers finds out who a silent login was. Such a login brings no unionid, by
// which a person is the same on the phone and on the PC; but WeChat tells it of
// people who follow the service account, if that is bound to an open-platform
// account. All of it happens beside the login, which never waits for it.
type followers struct {
	s *Server

	mu      sync.Mutex
	asked   map[string]time.Time // by openid, when
	swept   time.Time            // when those whose pause is over were dropped
	running int
	pause   time.Time // until when nobody is asked about
}

func newFollowers(s *Server) *followers { return &followers{s: s, asked: map[string]time.Time{}} }

// afterLogin asks about the person of a silent login, now and then.
func (f *followers) afterLogin(ctx context.Context, p session.Pending, openID string, u *identity.User) {
	if p.AppID == f.s.cfg.MP.ID && p.Scope == scopeBase && f.begin(openID, u, false) {
		f.ask(ctx, p.AppID, openID)
	}
}

// afterSubscribe asks about a person who just became a follower, whatever the
// answer was before.
func (f *followers) afterSubscribe(ctx context.Context, appID, openID string, u *identity.User) {
	if f.begin(openID, u, true) {
		f.ask(ctx, appID, openID)
	}
}

// begin reports that the question is to be asked.
func (f *followers) begin(openID string, u *identity.User, news bool) bool {
	if u.Unionids[f.s.cfg.Platform] != "" {
		return false
	}
	now := f.s.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running >= maxFollowers || now.Before(f.pause) || !news && now.Sub(f.asked[openID]) < followerPause {
		return false
	}
	if len(f.asked) >= maxFollowersAsked && now.Sub(f.swept) > time.Second {
		f.swept = now
		for id, at := range f.asked {
			if now.Sub(at) >= followerPause {
				delete(f.asked, id)
			}
		}
	}
	if len(f.asked) >= maxFollowersAsked {
		return false
	}
	f.asked[openID] = now
	f.running++
	return true
}

func (f *followers) ask(ctx context.Context, appID, openID string) {
	f.s.beside(ctx, func(ctx context.Context) {
		defer func() {
			f.mu.Lock()
			f.running--
			f.mu.Unlock()
		}()
		unionID := f.unionID(ctx, openID)
		if unionID == "" {
			return
		}
		if err := f.learn(ctx, appID, openID, unionID); err != nil {
			f.s.log.Warn("a follower's unionid could not be stored; the next login asks again", "error", err)
		}
	})
}

// unionID asks WeChat, "" for no answer.
func (f *followers) unionID(ctx context.Context, openID string) string {
	ctx, cancel := context.WithTimeout(ctx, followerLimit)
	defer cancel()
	subscribed, unionID, err := f.s.tokens.Follower(ctx, f.s.cfg.MP, openID)
	switch {
	case err != nil:
		f.failed(err)
	case subscribed && unionID == "":
		// The account is not bound, so nobody has one. Asking about every
		// visitor would use up the quota that the app has to share.
		f.rest(followerPause)
	}
	return unionID
}

func (f *followers) learn(ctx context.Context, appID, openID, unionID string) error {
	users := f.s.cfg.Users
	u, found, err := users.Find(ctx, appID, openID)
	if err != nil || !found || u.Withdrawn() {
		return err // nothing more is to be known about who took the consent back
	}
	res, known, err := users.Learn(ctx, identity.Login{
		Platform: f.s.cfg.Platform, Channel: identity.ChannelMP, AppID: appID, OpenID: openID, UnionID: unionID, At: f.s.now(),
	})
	if err != nil || !known {
		return err
	}
	f.s.noteResolution(ctx, f.s.log, res)
	f.s.sessions.staleUser(res.User.SessionIDs()...)
	return nil
}

// failed says once for each pause why nobody is asked about.
func (f *followers) failed(err error) {
	api, refused := errors.AsType[*wechat.APIError](err)
	if !refused {
		if f.rest(followerOutage) {
			f.s.log.Warn("WeChat does not tell who followers are; later logins ask again", "error", err)
		}
		return
	}
	if api.Code == invalidOpenID || api.Kind() == wechat.KindUser {
		return // about this person alone
	}
	if !f.rest(followerPause) {
		return
	}
	advice := "see WeChat's list of error codes"
	switch {
	case api.Code == 40164 || api.Code == 61004 || api.Code == 89503:
		advice = "add this machine's outgoing address to the account's IP allow-list (IP白名单) in the console at mp.weixin.qq.com"
	case api.Code == 48001:
		advice = "only a verified service account may ask for its followers; see 接口权限 in the console at mp.weixin.qq.com"
	case api.Kind() == wechat.KindConfig:
		advice = "check WXGATE_MP_APP_ID and WXGATE_MP_APP_SECRET"
	case api.Kind() == wechat.KindBusy:
		advice = "WeChat is busy, or the account's quota is used up"
	}
	f.s.log.Warn("WeChat does not tell who followers are: people who log in silently stay apart from their PC", "errcode", api.Code, "todo", advice, "error", err)
}

// invalidOpenID is WeChat's errcode for an openid of another account, or of
// nobody.
const invalidOpenID = 40003

// rest begins a pause, and reports whether there was none.
func (f *followers) rest(d time.Duration) bool {
	now := f.s.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	resting := now.Before(f.pause)
	if until := now.Add(d); until.After(f.pause) {
		f.pause = until
	}
	return !resting
}
