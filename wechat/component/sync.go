package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wxgate/wechat"
)

const (
	// listPage is how many accounts are asked for at once; WeChat allows 500.
	listPage = 100
	// syncEvery is how often the list is compared by itself.
	syncEvery = 24 * time.Hour
	syncRetry = 10 * time.Minute
)

// SyncReport is what came of comparing the store with WeChat's list.
type SyncReport struct {
	Listed   int `json:"listed"`   // accounts that WeChat lists
	Added    int `json:"added"`    // of these, not authorized here before
	Restored int `json:"restored"` // whose refresh token was lost, or had changed
	Gone     int `json:"gone"`     // authorized here, and not any more by WeChat's word
	// Missing are authorized accounts whose refresh token neither side tells: the
	// code of their authorization was never exchanged. They have to authorize
	// again, or to change their permission sets.
	Missing []string `json:"missing"`
}

// Sync refills the store from WeChat's list of accounts (api_get_authorizer_list).
// What is here and in order stays as it is.
func (p *Platform) Sync(ctx context.Context) (SyncReport, error) {
	report := SyncReport{Missing: []string{}}
	// What changes from here on is newer than the list.
	before := map[string]string{}
	authorized := map[string]*account{}
	err := p.accounts(ctx, func(_ string, r tokenRecord) error {
		before[r.Account.AppID] = r.version()
		if r.Account.Status == StatusAuthorized || r.Account.Status == StatusPending && (r.Account.Failure != "" || !p.now().Before(r.Account.Awaits)) {
			authorized[r.Account.AppID] = r.Account
		}
		return nil
	})
	if err != nil {
		return report, err
	}
	listed := map[string]bool{}
	for offset := 0; ; offset += listPage {
		var total int
		var page []wechat.ListedAuthorizer
		err := p.WithToken(ctx, func(token string) (err error) {
			total, page, err = p.client.AuthorizerList(ctx, token, p.app.ID, offset, listPage)
			return err
		})
		if err != nil {
			return report, err
		}
		for _, one := range page {
			if !ValidAppID(one.AppID) || listed[one.AppID] {
				continue // the list moved while it was read
			}
			listed[one.AppID] = true
			err := p.adopt(ctx, one, before[one.AppID], &report)
			switch {
			case errors.Is(err, errRecord):
				p.log.Error("the record of an account cannot be read", "appid", one.AppID, "error", err)
			case err != nil:
				return report, err
			}
		}
		if len(page) == 0 || offset+listPage >= total {
			break
		}
	}
	report.Listed = len(listed)
	for _, a := range authorized {
		if listed[a.AppID] {
			continue
		}
		// Not on the list is no proof: it is long, and read in pages.
		switch _, err := p.ask(ctx, a.AppID); {
		case isRefusal(err, notAuthorized):
			if err := p.gone(ctx, a.AppID, a); err != nil {
				return report, err
			}
			report.Gone++
		case isAPIError(err):
			p.log.Warn("an account is not on WeChat's list, and WeChat does not say why", "appid", a.AppID, "error", err)
		case err != nil:
			return report, err
		}
	}
	p.log.Info("the accounts were compared with WeChat's list", "listed", report.Listed, "added", report.Added,
		"restored", report.Restored, "gone", report.Gone, "missing", len(report.Missing))
	return report, nil
}

// adopt takes over what WeChat lists of an account, where it knows more.
func (p *Platform) adopt(ctx context.Context, one wechat.ListedAuthorizer, before string, report *SyncReport) error {
	key := p.accountKey(one.AppID)
	const (
		kept = iota
		added
		restored
	)
	var what int
	var event Notice
	r, err := p.modifyAccount(ctx, one.AppID, func(r *tokenRecord, found bool) (err error) {
		a := r.Account
		refresh := p.open(a.Refresh, key)
		what = kept
		switch {
		case r.version() != before:
			return errNoChange // newer than the list
		case refresh != "" && held(r.Access.LeaseUntil, p.now(), mintLease):
			return errNoChange // a replica is getting its tokens
		case a.Status == StatusPending && a.Failure == "" && one.RefreshToken == "" && p.now().Before(a.Awaits):
			return errNoChange // its code is being exchanged; before that WeChat tells nobody
		case a.Status != StatusAuthorized:
			// Before the record is written, as always.
			if event, err = p.newNotice(ctx, NoticeAuthorized, one.AppID); err != nil {
				return err
			}
			what = added
			a.Status, a.GrantedAt, a.Exact, a.Grant = StatusAuthorized, one.AuthTime, true, ""
			if one.AuthTime.Before(a.RevokedAt) {
				a.GrantedAt = a.RevokedAt // whatever a push said, the list is newer
			}
			a.post(event)
		case one.RefreshToken != "" && one.RefreshToken != refresh:
			what = restored
		}
		switch {
		case one.RefreshToken != "" && one.RefreshToken != refresh:
			// Never none for one that is known.
			a.Refresh, a.Failure, r.Access = p.seal(one.RefreshToken, key), "", access{}
		case one.RefreshToken == "" && refresh == "" && a.Failure != noRefreshToken:
			// In this write: a code that is exchanged meanwhile has the last word.
			a.Failure = noRefreshToken
		case what == kept:
			return errNoChange
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("component: taking over an account of WeChat's list: %w", err)
	}
	switch what {
	case added:
		report.Added++
	case restored:
		report.Restored++
	}
	if what != kept {
		p.accountToken(one.AppID).forget()
	}
	if r.Account.Status != StatusAuthorized {
		return nil
	}
	if p.open(r.Account.Refresh, key) == "" {
		report.Missing = append(report.Missing, one.AppID)
		p.log.Error("an account has no tokens", "appid", one.AppID, "todo", noRefreshToken)
	}
	if r.Account.Info == nil {
		return p.describeLater(ctx, one.AppID)
	}
	return nil
}

// version changes with all that WeChat's list could be older than. It is "" as long
// as nothing is known but that there is a code.
func (r tokenRecord) version() string {
	a := r.Account
	if a == nil || a.Status == StatusPending || a.Status == "" {
		return ""
	}
	return fmt.Sprint(a.Status, a.Grant, a.GrantedAt.UnixNano(), a.RevokedAt.UnixNano(), hash(string(a.Refresh)), r.Access.MintedAt.UnixNano())
}

// syncDaily compares once a day, by one replica; if that dies or fails, by another
// one soon.
func (p *Platform) syncDaily(ctx context.Context) {
	key := p.key("synced")
	first, err := p.store.Create(ctx, key, []byte("1"), syncRetry)
	if err != nil || !first {
		return
	}
	if _, err = p.Sync(ctx); err == nil {
		err = p.store.Put(ctx, key, []byte("1"), syncEvery)
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("the accounts could not be compared with WeChat's list; it is tried again", "error", err)
	}
}
