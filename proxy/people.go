package proxy

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"wxgate/identity"
)

// What is decided about a user has more sides than the directory knows: an
// account at Yunxin, sessions held in memory, tokens of WeChat's. Each method
// here takes note of those first, then lets the directory decide with one
// write, then brings the rest up to date; what a killed process leaves, the
// queues finish.

// blockUser keeps a user out, here and at Yunxin.
func (s *Server) blockUser(ctx context.Context, id string) (*identity.User, error) {
	return s.decide(ctx, id, s.cfg.Users.Block)
}

// unblockUser lets a user in again.
func (s *Server) unblockUser(ctx context.Context, id string) (*identity.User, error) {
	return s.decide(ctx, id, s.cfg.Users.Unblock)
}

// endSessions ends all sessions of a user: here at once, on other replicas when
// their cache runs out.
func (s *Server) endSessions(ctx context.Context, id string) (*identity.User, error) {
	return s.decide(ctx, id, s.cfg.Users.EndSessions)
}

func (s *Server) decide(ctx context.Context, id string, how func(context.Context, string) (*identity.User, error)) (*identity.User, error) {
	u, found, err := s.cfg.Users.User(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, identity.ErrNotFound
	case u.Status == identity.StatusErased:
		return nil, identity.ErrErased
	}
	if err := s.im.before(ctx, u.ID); err != nil {
		return nil, err
	}
	if u, err = how(ctx, id); err != nil {
		return nil, err
	}
	return s.decided(ctx, u)
}

// decided brings the rest up to date and returns the user as it is then.
func (s *Server) decided(ctx context.Context, u *identity.User) (*identity.User, error) {
	s.sessions.staleUser(u.SessionIDs()...)
	s.im.after(ctx, u.ID)
	now, found, err := s.cfg.Users.User(ctx, u.ID)
	if err == nil && !found {
		err = identity.ErrNotFound
	}
	return now, err
}

// mergeUsers makes from into.
func (s *Server) mergeUsers(ctx context.Context, into, from string) (*identity.User, error) {
	u, merged, err := s.cfg.Users.Merge(ctx, into, from)
	if err != nil {
		return nil, err
	}
	s.metrics.usersMerged.Inc()
	if err := s.settle(ctx, merged); err != nil {
		s.log.Warn("a merge is not finished yet; it is tried again", "user", u.ID, "from", merged, "error", err)
	}
	return s.decided(ctx, u)
}

// splitUser gives an account a user of its own.
func (s *Server) splitUser(ctx context.Context, id, appID, openID string) (former, fresh *identity.User, err error) {
	u, found, err := s.cfg.Users.User(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if found {
		if err := s.im.before(ctx, u.ID); err != nil {
			return nil, nil, err
		}
	}
	if former, fresh, err = s.cfg.Users.Split(ctx, id, appID, openID); err != nil {
		return nil, nil, err
	}
	s.metrics.usersCreated.Inc()
	if err := s.settle(ctx, fresh.ID); err != nil {
		s.log.Warn("a split is not finished yet; it is tried again", "user", fresh.ID, "from", former.ID, "error", err)
	}
	former, err = s.decided(ctx, former)
	return former, fresh, err
}

// eraseUser forgets a person. Nothing but the id remains.
func (s *Server) eraseUser(ctx context.Context, id string) error {
	was, err := s.cfg.Users.Erase(ctx, id)
	if err != nil {
		return err
	}
	s.sessions.staleUser(was.SessionIDs()...)
	if err := s.settle(ctx, was.ID); err != nil {
		s.log.Warn("an erasure is not finished yet; it is tried again", "user", was.ID, "error", err)
	}
	return nil
}

// revoke follows a person's own decision in WeChat. An account that nobody has
// is not found.
func (s *Server) revoke(ctx context.Context, r identity.Revocation) (found bool, err error) {
	u, found, err := s.cfg.Users.Find(ctx, r.AppID, r.OpenID)
	if err != nil || !found {
		return false, err
	}
	if err := s.im.before(ctx, u.ID); err != nil {
		return false, err
	}
	if err := s.cfg.Sessions.DeleteSealed(ctx, consentKey(r.AppID, r.OpenID)); err != nil {
		return false, err
	}
	if u, found, err = s.cfg.Users.Revoke(ctx, r); err != nil || !found {
		return false, err
	}
	s.sessions.staleUser(u.SessionIDs()...)
	s.beside(ctx, func(ctx context.Context) { s.im.after(ctx, u.ID) })
	return true, nil
}

// clearProfile forgets name and picture, here and at Yunxin, until the person
// consents again. An account that nobody has is not found.
func (s *Server) clearProfile(ctx context.Context, appID, openID string) (found bool, err error) {
	u, found, err := s.cfg.Users.Find(ctx, appID, openID)
	if err != nil || !found {
		return false, err
	}
	if err := s.im.before(ctx, u.ID); err != nil {
		return false, err
	}
	if u, found, err = s.cfg.Users.ClearProfile(ctx, appID, openID); err != nil || !found {
		return false, err
	}
	s.sessions.staleUser(u.SessionIDs()...)
	s.beside(ctx, func(ctx context.Context) { s.im.after(ctx, u.ID) })
	return true, nil
}

// settleLimit bounds what is finished beside a request.
const settleLimit = 30 * time.Second

// beside does something that the answer does not wait for.
func (s *Server) beside(ctx context.Context, do func(context.Context)) {
	s.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
		defer cancel()
		do(ctx)
	})
}

func (s *Server) settleSoon(ctx context.Context, id string) {
	s.sessions.staleUser(id)
	s.beside(ctx, func(ctx context.Context) {
		if err := s.settle(ctx, id); err != nil {
			s.log.Warn("a merge is not finished yet; it is tried again", "user", id, "error", err)
		}
	})
}

// settle finishes what was decided about a user, with all its sides, and takes
// it off the queue.
func (s *Server) settle(ctx context.Context, id string) error {
	record, found, err := s.cfg.Users.Record(ctx, id)
	if err != nil {
		return err
	}
	if found {
		gone, err := s.gone(ctx, record)
		if err != nil {
			return err
		}
		if gone {
			for _, a := range record.Accounts {
				if err := s.cfg.Sessions.DeleteSealed(ctx, consentKey(a.AppID, a.OpenID)); err != nil {
					return err
				}
			}
			if err := s.forgetSessions(ctx, record); err != nil {
				return err
			}
		}
		if err := s.im.before(ctx, id); err != nil {
			return err
		}
		if err := s.cfg.Users.Settle(ctx, id); err != nil {
			return err
		}
	}
	ids := []string{id}
	if found && record.Status == identity.StatusErased {
		// Those who were merged into the person had accounts of their own.
		ids = append(ids, record.Aliases...)
		for _, alias := range record.Aliases {
			if err := s.im.before(ctx, alias); err != nil {
				return err
			}
		}
	}
	if found && record.Status == identity.StatusMerged {
		// A merge may have blocked whoever remains, or given them another account.
		u, there, err := s.cfg.Users.User(ctx, id)
		if err != nil {
			return err
		}
		if there {
			ids = append(ids, u.ID)
			if err := s.im.before(ctx, u.ID); err != nil {
				return err
			}
		}
	}
	if err := s.cfg.Queue.Done(ctx, identity.QueueSettle, id); err != nil {
		return err
	}
	if found {
		for _, id := range ids {
			s.im.after(ctx, id)
		}
	}
	return nil
}

// gone reports that nobody is left of a record: the user was erased, or became
// one that was.
func (s *Server) gone(ctx context.Context, record *identity.User) (bool, error) {
	if record.Status != identity.StatusMerged {
		return record.Status == identity.StatusErased, nil
	}
	u, found, err := s.cfg.Users.User(ctx, record.ID)
	return found && u.Status == identity.StatusErased, err
}

const (
	settleEvery = 10 * time.Second
	settleLease = time.Minute
	settleBatch = 20
)

// runSettling finishes, until ctx ends, what nobody finished at once.
func (s *Server) runSettling(ctx context.Context) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.settleDue(ctx); err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "unfinished changes of users wait", slog.Any("error", err))
		}
	}
}

func (s *Server) settleDue(ctx context.Context) error {
	ids, err := s.cfg.Queue.TakeDue(ctx, identity.QueueSettle, s.now(), settleLease, settleBatch)
	if err != nil {
		return err
	}
	var failed []error
	for _, id := range ids {
		failed = append(failed, s.settle(ctx, id))
	}
	return errors.Join(failed...)
}
