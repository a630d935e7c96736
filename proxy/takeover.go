package proxy

import (
	"context"
	"errors"

	"wxgate/identity"
)

// takeOver makes a session for another browser or host of one that runs, whose
// key was agreed upon a moment ago: it must still be there, and its user still
// welcome. failure is a word of problemOf's, "" if there is a token.
func (s *Server) takeOver(ctx context.Context, key string) (failure, token string, err error) {
	source, found, err := s.cfg.Sessions.Load(ctx, key)
	if err != nil {
		return failedStore, "", err
	}
	if !found {
		return failedCode, "", errors.New("the session to take over has ended")
	}
	user, found, err := s.cfg.Users.Current(ctx, source.User, source.AppID, source.OpenID)
	switch {
	case err != nil:
		return failedStore, "", err
	case !found || user.Status == identity.StatusErased:
		return failedCode, "", errors.New("the user is gone")
	case source.Epoch < user.SessionEpoch(source.User):
		return failedCode, "", errors.New("the user's sessions were ended")
	case user.Status == identity.StatusBlocked:
		return failedBlocked, "", errors.New("the user is blocked")
	}
	if err := s.im.afterLogin(ctx, user); byYunxin(err) {
		return failedAccount, "", err
	} else if err != nil {
		return failedStore, "", err
	}
	token, _, err = s.cfg.Sessions.Derive(ctx, source)
	if err != nil {
		return failedStore, "", err
	}
	return "", token, nil
}
