package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

const (
	// refreshLife is how long WeChat's refresh token lives.
	refreshLife = 30 * 24 * time.Hour
	// profileLimit bounds one refresh: three calls to WeChat and a write.
	profileLimit = 30 * time.Second
)

// consent is what a consented login leaves behind: the tokens with which the
// profile can be read again without asking. It is sealed in the store.
type consent struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}

func consentKey(appID, openID string) string {
	return "p:" + url.PathEscape(appID) + "/" + url.PathEscape(openID)
}

// keepConsent remembers the tokens of a consented login, and reads along what
// the login asks the store next. Without the tokens nothing is lost but the
// refresh, so a failure is only logged.
//
// They are stored before the user is looked up: who is erased or takes the
// consent back after that takes them away, too.
func (s *Server) keepConsent(ctx context.Context, log *slog.Logger, p session.Pending, token wechat.Token, along ...string) identity.Read {
	if token.RefreshToken == "" {
		return nil
	}
	var values [][]byte
	text, err := json.Marshal(consent{token.AccessToken, token.RefreshToken})
	if err == nil {
		values, err = s.cfg.Sessions.PutSealedWith(ctx, consentKey(p.AppID, token.OpenID), text, refreshLife, along...)
	}
	if err != nil {
		log.Warn("the tokens to refresh the profile with could not be kept", "error", err)
		return nil
	}
	read := identity.Read{}
	for i, key := range along {
		read[key] = values[i]
	}
	return read
}

// freshenProfile reads an old profile anew, beside the login that noticed its
// age and without asking the person.
func (s *Server) freshenProfile(ctx context.Context, log *slog.Logger, p session.Pending, openID string, u *identity.User) {
	if u.Profile == nil || s.cfg.ProfileMaxAge <= 0 || s.now().Sub(u.Profile.UpdatedAt) < s.cfg.ProfileMaxAge {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), profileLimit)
		defer cancel()
		if err := s.readProfile(ctx, p, openID, u.ID); err != nil {
			log.Info("an old profile stays until the next consent", "user", u.ID, "error", err)
		}
	}()
}

var errNoConsent = errors.New("no tokens of a consented login are left")

func (s *Server) readProfile(ctx context.Context, p session.Pending, openID, userID string) error {
	key := consentKey(p.AppID, openID)
	text, found, err := s.cfg.Sessions.GetSealed(ctx, key)
	if err != nil {
		return err
	}
	if !found {
		return errNoConsent
	}
	var c consent
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	valid, err := s.cfg.WeChat.CheckToken(ctx, c.Access, openID)
	if err != nil {
		return err
	}
	if !valid {
		by, err := s.speaker(p)
		if err != nil {
			return err
		}
		token, err := by.refresh(ctx, c.Refresh)
		if err != nil {
			return err
		}
		c = consent{token.AccessToken, token.RefreshToken}
		if text, err = json.Marshal(c); err != nil {
			return err
		}
		if err := s.cfg.Sessions.PutSealed(ctx, key, text, refreshLife); err != nil {
			return err
		}
	}
	info, err := s.cfg.WeChat.UserInfo(ctx, c.Access, openID)
	if err != nil {
		return err
	}
	fresh := &identity.Profile{Name: identity.CleanName(info.Nickname), Avatar: identity.CleanAvatar(info.AvatarURL), UpdatedAt: s.now()}
	over := false
	u, err := s.cfg.Users.Update(ctx, userID, func(u *identity.User) error {
		// Taken back, or split off, while WeChat was asked.
		if over = u.Profile == nil || u.Withdrawn() || u.Account(p.AppID, openID) == nil; over {
			return identity.ErrNoChange
		}
		u.Profile = fresh
		return nil
	})
	if over || errors.Is(err, identity.ErrErased) {
		return errors.Join(errNoConsent, s.cfg.Sessions.DeleteSealed(ctx, key))
	}
	if err != nil {
		return err
	}
	return s.im.afterLogin(ctx, u) // Yunxin shows name and picture to others
}
