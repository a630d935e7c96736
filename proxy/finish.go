package proxy

import (
	"context"
	"errors"
	"log/slog"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

// finishLogin turns a code into a session. It runs once per code and may outlive
// the request that brought it, so it touches nothing of that but its id.
//
// A login asks the store at most six times, one after the other. The lists name
// each question by what it does and the kinds of keys that go together in one
// round trip: c the code's claim and outcome, a an account's entry, n a
// unionid's, u a user, w the list of a user's sessions, s a session, p the
// tokens of a consent.
//
//	first login, silent:             create c, read a, create u, create a, write c+s+w
//	first login, by consent:         create c, write p read a+n, create u, create n, create a, write c+s+w
//	new account of a known person:   create c, write p read a+n, read u+w, create a, replace u, write c+s+w
//	unionid just learned:            create c, write p read a+n, read u+w, create n, replace u, write c+s+w
//	returning, silent:               create c, read a, read u+w, write c+s+w
//	returning, silent, later:        create c, read a, read u+w, replace u, write c+s+w
//	returning, by consent, later:    create c, write p read a+n, read u+w, replace u, write c+s+w
//
// Later is an hour or more, when the user's record is brought up to date.
// The claim comes before WeChat is asked, or a code would be used twice. The
// order in the middle is that of identity.Directory.Resolve. The last write is
// of three records that nothing orders, see session.Redemption: the token is
// given away when all three are there.
//
// Beyond that: a browser that comes with a living session has it ended (one
// write), and looked at if this replica does not know it (one read). ClearCookies
// and a native client's answer look at the new session (one read). Yunxin adds
// one write to a login that leaves something to be done there, events for the
// app one to a login that makes a user or links an account.
func (s *Server) finishLogin(ctx context.Context, x *session.Redemption, requestID string, p session.Pending, code string) session.Outcome {
	log := s.log.With("id", requestID, "channel", p.Channel)
	failed := func(word, what string, err error) session.Outcome {
		s.metrics.login(p.Channel, stepFailed)
		log.LogAttrs(ctx, slog.LevelError, what, slog.Any("error", err))
		return session.Outcome{Failure: word}
	}
	token, err := s.codeToken(ctx, p, code)
	if err != nil {
		word, what := failedWeChat, "a login was not finished: WeChat could not be asked about its code"
		switch ofWeChat(err) {
		case invalidCode:
			word = failedCode
		case loginRefused:
			word, what = failedRefused, "WeChat does not let this person log in"
		case wechatMisconfigured:
			word = failedConfig
		}
		if api, ok := errors.AsType[*wechat.APIError](err); ok && api.Kind() == wechat.KindCode {
			what = "WeChat did not accept the code"
		}
		return failed(word, what, err)
	}
	s.metrics.login(p.Channel, stepExchanged)
	if token.Snapshot {
		// The ids are of a virtual account. No user, no session.
		s.metrics.login(p.Channel, stepSnapshot)
		return session.Outcome{Failure: failedSnapshot}
	}
	login := identity.Login{
		Platform: s.cfg.Platform, Channel: p.Channel, AppID: p.AppID, OpenID: token.OpenID, UnionID: token.UnionID, At: s.now(),
	}
	lists := identity.Read{}
	users := s.cfg.Users
	if p.Scope != scopeBase && token.AccessToken != "" {
		s.addProfile(ctx, log, &login, token)
		if (account{p.Channel, p.AppID}).insideWeChat() {
			users = users.Having(s.keepConsent(ctx, log, p, token, login.Keys()...))
		}
	}
	res, err := users.Along(session.ListKey, lists).Resolve(ctx, login)
	if err != nil {
		return failed(failedStore, "the user could not be stored", err)
	}
	s.noteResolution(ctx, log, res)
	if p.Scope == scopeBase {
		s.freshenProfile(ctx, log, p, login.OpenID, res.User)
	}
	if res.User.Status == identity.StatusBlocked {
		return session.Outcome{Failure: failedBlocked}
	}
	if err := s.im.afterLogin(ctx, res.User); byYunxin(err) {
		return failed(failedAccount, "the IM account is required and could not be made", err)
	} else if err != nil {
		return failed(failedStore, "the IM account to be made could not be noted", err)
	}
	if res.Created {
		lists[session.ListKey(res.User.ID)] = nil
	}
	cookie, _, err := x.Begin(ctx, session.Session{
		User: res.User.ID, Channel: p.Channel, AppID: p.AppID, OpenID: login.OpenID, UnionID: login.UnionID, Scope: p.Scope,
		Epoch: res.User.SessionEpoch(res.User.ID),
	}, lists)
	if err != nil {
		return failed(failedStore, "the session could not be stored", err)
	}
	s.metrics.login(p.Channel, stepCompleted)
	s.followers.afterLogin(ctx, p, login.OpenID, res.User)
	return session.Outcome{Token: cookie}
}

// addProfile asks for name and avatar. Without them the login is still a
// login: the person agreed, and the code is used up.
func (s *Server) addProfile(ctx context.Context, log *slog.Logger, login *identity.Login, token wechat.Token) {
	info, err := s.cfg.WeChat.UserInfo(ctx, token.AccessToken, token.OpenID)
	if err != nil {
		log.Error("WeChat did not give the profile; the login goes on without", "error", err)
		return
	}
	login.Profile = &identity.Profile{Name: info.Nickname, Avatar: info.AvatarURL, UpdatedAt: login.At}
	if login.UnionID == "" {
		login.UnionID = info.UnionID
	}
}

// noteResolution counts and logs what a login, or a later word of WeChat's,
// showed about who is who.
func (s *Server) noteResolution(ctx context.Context, log *slog.Logger, res identity.Resolution) {
	if res.Created {
		s.metrics.usersCreated.Inc()
		log.Info("user created", "user", res.User.ID)
	}
	if res.Merged != "" {
		log.Info("two users are one person; merged", "user", res.User.ID, "from", res.Merged)
		s.metrics.usersMerged.Inc()
		s.settleSoon(ctx, res.Merged)
	}
	if res.Conflict {
		log.Warn("this account's unionid changed to that of another user; both users were left as they are", "user", res.User.ID)
	}
}

// retire ends the session that the browser had before this login. One that the
// same login made already (WeChat's second delivery with another code) stays:
// its cookie may be the one that the browser keeps.
func (s *Server) retire(v *visit, p session.Pending) {
	l, err := s.session(v)
	if err != nil || l == nil || l.snapshot || l.session.CreatedAt.Unix() >= p.Started {
		return
	}
	if err := s.sessions.end(v.r.Context(), l.key); err != nil {
		s.log.Warn("the session before this login could not be ended; it runs out by itself", "id", v.id, "error", err)
	}
	v.live = nil
}
