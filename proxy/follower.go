package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
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

	mu sync.Mutex
	of map[account]*asker
}

// asker asks about the people of one account. What WeChat refuses to one account
// says nothing of another.
type asker struct {
	s *Server
	account

	mu      sync.Mutex
	asked   map[string]time.Time // by openid, when
	swept   time.Time            // when those whose pause is over were dropped
	running int
	pause   time.Time // until when nobody is asked about
}

func newFollowers(s *Server) *followers { return &followers{s: s, of: map[account]*asker{}} }

func (f *followers) asker(a account) *asker {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.of[a]
	if known == nil {
		known = &asker{s: f.s, account: a, asked: map[string]time.Time{}}
		f.of[a] = known
	}
	return known
}

// afterLogin asks about the person of a silent login, now and then.
func (f *followers) afterLogin(ctx context.Context, p session.Pending, openID string, u *identity.User) {
	if p.Scope == scopeBase {
		f.asker(account{p.Channel, p.AppID}).about(ctx, openID, u, false)
	}
}

// afterSubscribe asks about a person who just became a follower, whatever the
// answer was before.
func (f *followers) afterSubscribe(ctx context.Context, appID, openID string, u *identity.User) {
	a := account{identity.ChannelComponent, appID}
	if appID == f.s.cfg.MP.ID {
		a.channel = identity.ChannelMP
	}
	f.asker(a).about(ctx, openID, u, true)
}

// about asks about a person, unless it would be in vain. It does not wait.
func (f *asker) about(ctx context.Context, openID string, u *identity.User, news bool) {
	if f.begin(openID, u, news) {
		f.ask(ctx, openID)
	}
}

// begin reports that the question is to be asked.
func (f *asker) begin(openID string, u *identity.User, news bool) bool {
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

func (f *asker) ask(ctx context.Context, openID string) {
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
		if err := f.learn(ctx, openID, unionID); err != nil {
			f.s.log.Warn("a follower's unionid could not be stored; the next login asks again", "error", err)
		}
	})
}

// unionID asks WeChat, "" for no answer.
func (f *asker) unionID(ctx context.Context, openID string) string {
	ctx, cancel := context.WithTimeout(ctx, followerLimit)
	defer cancel()
	subscribed, unionID, err := f.s.tokens.Follower(ctx, f.s.serverApp(f.account), openID)
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

func (f *asker) learn(ctx context.Context, openID, unionID string) error {
	users := f.s.cfg.Users
	u, found, err := users.Find(ctx, f.appID, openID)
	if err != nil || !found || u.Withdrawn() {
		return err // nothing more is to be known about who took the consent back
	}
	res, known, err := users.Learn(ctx, identity.Login{
		Platform: f.s.cfg.Platform, Channel: f.channel, AppID: f.appID, OpenID: openID, UnionID: unionID, At: f.s.now(),
	})
	if err != nil || !known {
		return err
	}
	f.s.noteResolution(ctx, f.s.log, res)
	f.s.sessions.staleUser(res.User.SessionIDs()...)
	return nil
}

// failed says once for each pause why nobody is asked about.
func (f *asker) failed(err error) {
	api, refused := errors.AsType[*wechat.APIError](err)
	lapsed := errors.Is(err, component.ErrNotAuthorized) || errors.Is(err, component.ErrNoGrant)
	if !refused && !lapsed {
		if f.rest(followerOutage) {
			f.s.log.Warn("WeChat does not tell who followers are; later logins ask again", "appid", f.appID, "error", err)
		}
		return
	}
	if refused && (api.Code == invalidOpenID || api.Kind() == wechat.KindUser) {
		return // about this person alone
	}
	if f.rest(followerPause) {
		f.s.log.Warn("WeChat does not tell who followers are: people who log in silently stay apart from their PC",
			"appid", f.appID, "todo", f.advice(api), "error", err)
	}
}

// advice is what an operator can do about a refusal; nil stands for one that
// needed no call.
func (f *asker) advice(api *wechat.APIError) string {
	onBehalf := f.channel == identity.ChannelComponent
	switch {
	case api == nil || onBehalf && api.Code == 61003:
		return "the account has to authorize the third-party platform again; make a link for it with POST /admin/component/links"
	case api.Code == 40164 || api.Code == 61004 || api.Code == 89503:
		if onBehalf {
			return "add this machine's outgoing address to the third-party platform's IP allow-list (白名单IP地址列表) in the console at open.weixin.qq.com"
		}
		return "add this machine's outgoing address to the account's IP allow-list (IP白名单) in the console at mp.weixin.qq.com"
	case api.Code == 48001 || api.Code == 61007:
		if onBehalf {
			return "only a verified service account that granted the permission set of user management (用户管理) may be asked for its followers"
		}
		return "only a verified service account may ask for its followers; see 接口权限 in the console at mp.weixin.qq.com"
	case api.Kind() == wechat.KindConfig:
		if onBehalf {
			return "check WXGATE_COMPONENT_APP_ID, WXGATE_COMPONENT_APP_SECRET and that the ticket arrives; see GET /admin/component"
		}
		return "check WXGATE_MP_APP_ID and WXGATE_MP_APP_SECRET"
	case api.Kind() == wechat.KindBusy:
		return "WeChat is busy, or the account's quota is used up"
	}
	return "see WeChat's list of error codes"
}

// invalidOpenID is WeChat's errcode for an openid of another account, or of
// nobody.
const invalidOpenID = 40003

// rest begins a pause, and reports whether there was none.
func (f *asker) rest(d time.Duration) bool {
	now := f.s.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	resting := now.Before(f.pause)
	if until := now.Add(d); until.After(f.pause) {
		f.pause = until
	}
	return !resting
}
