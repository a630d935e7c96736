package component

import (
	"context"
	"fmt"
	"time"

	"wxgate/wechat"
)

const (
	// linkLife is how long a link may wait for its customer, and an opened one for
	// the return.
	linkLife = 24 * time.Hour
	// maxReturns bounds the codes that come back for one link: each page that the
	// customer's browser loads anew can bring one.
	maxReturns = 5
)

// Link invites one customer to authorize one account.
type Link struct {
	// AuthType is which accounts WeChat offers: 1 official accounts, 2 mini
	// programs, 3 both, 4 promoters, 5 channels, 6 all of 1, 2 and 5, 8 selling
	// assistants.
	AuthType int
	// BizAppID is the one account that may be authorized; "" for any.
	BizAppID string
	// Mobile is for a phone with WeChat; else a PC shows a QR code.
	Mobile  bool
	Expires time.Time
}

type linkRecord struct {
	AuthType int       `json:"auth_type"`
	BizAppID string    `json:"biz_appid,omitempty"`
	Mobile   bool      `json:"mobile,omitempty"`
	Expires  time.Time `json:"expires"`
	State    []byte    `json:"state,omitempty"` // sealed; of whoever opened it
	Used     bool      `json:"used,omitempty"`  // an account was authorized by it
}

// returnRecord is what a state stands for.
type returnRecord struct {
	Expires time.Time `json:"expires"`
	Link    string    `json:"link"`            // hash of its token
	Codes   []string  `json:"codes,omitempty"` // hashes of those that came back
}

// NewLink makes a link, good for a day and for one browser.
func (p *Platform) NewLink(ctx context.Context, l Link) (token string, made Link, err error) {
	token, made = randomName(), l
	made.Expires = p.now().Add(linkLife).UTC().Truncate(time.Second)
	r := linkRecord{AuthType: l.AuthType, BizAppID: l.BizAppID, Mobile: l.Mobile, Expires: made.Expires}
	won, err := swap(ctx, p, p.key("link", hash(token)), nil, r, linkLife)
	if err == nil && !won {
		err = ErrContended
	}
	return token, made, err
}

// Link returns what a link is for, without taking it. A link that is taken has not
// ended. Errors: [ErrLink], or what the store says.
func (p *Platform) Link(ctx context.Context, token string) (Link, error) {
	r, raw, err := load[linkRecord](ctx, p, p.key("link", hash(token)))
	switch {
	case err != nil:
		return Link{}, err
	case raw == nil || r.Used || !p.now().Before(r.Expires):
		return Link{}, ErrLink
	}
	return Link{AuthType: r.AuthType, BizAppID: r.BizAppID, Mobile: r.Mobile, Expires: r.Expires}, nil
}

// OpenLink takes a link. The first browser gets it, with a state for the return;
// later it is good only for the browser that has this state. Errors: [ErrLink], or
// what the store says.
func (p *Platform) OpenLink(ctx context.Context, token string, mine func(state string) bool) (l Link, state string, err error) {
	key := p.key("link", hash(token))
	fresh := randomName()
	r, err := modify(ctx, p, key, linkLife, func(r *linkRecord, found bool) error {
		if !found || r.Used || !p.now().Before(r.Expires) {
			return ErrLink
		}
		if len(r.State) > 0 {
			if given := p.open(r.State, key); given == "" || !mine(given) {
				return ErrLink
			}
			return errNoChange
		}
		r.State = p.seal(fresh, key)
		return nil
	})
	if err != nil {
		return Link{}, "", err
	}
	state = p.open(r.State, key)
	_, err = modify(ctx, p, p.key("return", hash(state)), linkLife, func(back *returnRecord, found bool) error {
		back.Expires, back.Link = p.now().Add(linkLife), hash(token)
		return nil
	})
	return Link{AuthType: r.AuthType, BizAppID: r.BizAppID, Mobile: r.Mobile, Expires: r.Expires}, state, err
}

// ReturnLink lets a link be opened by anybody again, if the opening with this state
// led nowhere.
func (p *Platform) ReturnLink(ctx context.Context, token, state string) error {
	key := p.key("link", hash(token))
	_, err := modify(ctx, p, key, linkLife, func(r *linkRecord, found bool) error {
		if !found || p.open(r.State, key) != state {
			return errNoChange
		}
		r.State = nil
		return nil
	})
	return err
}

// Launch is the address of WeChat's page for an authorization, with a code that is
// good for one visit. redirectURI has to lie on the host that the visitor comes
// from.
func (p *Platform) Launch(ctx context.Context, l Link, redirectURI string) (address string, err error) {
	err = p.WithToken(ctx, func(token string) error {
		code, _, err := p.client.PreAuthCode(ctx, token, p.app.ID)
		address = p.client.ComponentLoginURL(wechat.Launch{
			ComponentAppID: p.app.ID, PreAuthCode: code, RedirectURI: redirectURI,
			AuthType: l.AuthType, BizAppID: l.BizAppID, Mobile: l.Mobile,
		})
		return err
	})
	if err != nil {
		return "", err
	}
	return address, nil
}

// Returned takes the code with which a browser comes back, and waits for what it
// stands for as long as ctx lives. The code is stored before anything else, so
// that it is exchanged even if the caller goes away. The same code may come any
// number of times.
//
// Errors: [ErrLink] for a state that no opened link has, [ErrCode], those of wechat
// and of the store. With any but the first two the authorization goes on beside.
func (p *Platform) Returned(ctx context.Context, state, code string, expires time.Duration) (Authorizer, error) {
	if state == "" || code == "" || len(code) > maxCode {
		return Authorizer{}, ErrLink
	}
	back, err := modify(ctx, p, p.key("return", hash(state)), linkLife, func(r *returnRecord, found bool) error {
		if !found || !p.now().Before(r.Expires) {
			return ErrLink
		}
		for _, known := range r.Codes {
			if known == hash(code) {
				return errNoChange
			}
		}
		if len(r.Codes) >= maxReturns {
			return ErrLink
		}
		r.Codes = append(r.Codes, hash(code))
		return nil
	})
	if err != nil {
		return Authorizer{}, err
	}
	if expires <= 0 || expires > 24*time.Hour {
		expires = codeLife
	}
	now := p.now()
	id, err := p.keepCode(ctx, grantCode{Code: code, At: now, Until: now.Add(expires)})
	if err != nil {
		return Authorizer{}, err
	}
	r, err := p.settle(ctx, id)
	switch {
	case err != nil:
		return Authorizer{}, err
	case r.Failure != "":
		return Authorizer{}, fmt.Errorf("%w: %s", ErrCode, r.Failure)
	}
	_, err = modify(ctx, p, p.key("link", back.Link), linkLife, func(l *linkRecord, found bool) error {
		if !found || l.Used {
			return errNoChange
		}
		l.Used = true
		return nil
	})
	if err != nil {
		return Authorizer{}, err
	}
	a, _, err := p.Authorizer(ctx, r.Result)
	return a, err
}
