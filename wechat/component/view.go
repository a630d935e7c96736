package component

import (
	"context"
	"time"
)

// The kinds of accounts.
const (
	KindMP   = "mp"   // official account (公众号, 服务号)
	KindMini = "mini" // mini program (小程序)
)

// Authorizer is an account that authorized the platform, or did once. It holds no
// secret.
type Authorizer struct {
	AppID         string `json:"appid"`
	Status        string `json:"status"` // one of the Status constants
	Kind          string `json:"kind"`   // "" until the account is described
	Name          string `json:"name"`
	UserName      string `json:"user_name"` // original id, gh_…
	Avatar        string `json:"avatar"`
	Principal     string `json:"principal"`
	ServiceType   int    `json:"service_type"`
	VerifyType    int    `json:"verify_type"`
	AccountStatus int    `json:"account_status"` // 1 normal, 14 cancelled, 16 banned, 18 warned, 19 frozen
	// Functions are the ids of the permission sets (权限集) that the account granted.
	Functions       []int      `json:"functions"`
	AuthorizedAt    *time.Time `json:"authorized_at,omitempty"`
	UnauthorizedAt  *time.Time `json:"unauthorized_at,omitempty"`
	DescribedAt     *time.Time `json:"described_at,omitempty"`
	TokenExpiresAt  *time.Time `json:"token_expires_at,omitempty"` // of its access token; it is renewed when it is needed
	HasRefreshToken bool       `json:"has_refresh_token"`
	Error           string     `json:"error,omitempty"` // why it has no tokens
}

func (p *Platform) view(key string, r tokenRecord) Authorizer {
	a := r.Account
	v := Authorizer{
		AppID: a.AppID, Status: a.Status, Functions: a.Functions, AuthorizedAt: moment(a.GrantedAt), UnauthorizedAt: moment(a.EndedAt),
		TokenExpiresAt: moment(r.Access.ExpiresAt), HasRefreshToken: p.open(a.Refresh, key) != "", Error: a.Failure,
	}
	if v.Functions == nil {
		v.Functions = []int{}
	}
	if i := a.Info; i != nil {
		v.Kind = KindMP
		if i.MiniProgram {
			v.Kind = KindMini
		}
		v.Name, v.UserName, v.Avatar, v.Principal = i.Name, i.UserName, i.Avatar, i.Principal
		v.ServiceType, v.VerifyType, v.AccountStatus, v.DescribedAt = i.ServiceType, i.VerifyType, i.AccountStatus, moment(i.At)
	}
	return v
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// Authorizer returns what is known of an account.
func (p *Platform) Authorizer(ctx context.Context, appid string) (Authorizer, bool, error) {
	key := p.accountKey(appid)
	r, _, err := load[tokenRecord](ctx, p, key)
	if err != nil || r.Account == nil {
		return Authorizer{}, false, err
	}
	return p.view(key, r), true, nil
}

// Authorizers calls fn for every account that was ever heard of, in the order of their appids, until
// it returns an error, which is returned.
func (p *Platform) Authorizers(ctx context.Context, fn func(Authorizer) error) error {
	return p.accounts(ctx, func(key string, r tokenRecord) error { return fn(p.view(key, r)) })
}

// Overview is the state of the platform.
type Overview struct {
	AppID  string         `json:"appid"`
	Ticket TicketOverview `json:"ticket"`
	Token  TokenOverview  `json:"token"`
	// Authorizers counts the accounts by status.
	Authorizers map[string]int `json:"authorizers"`
	// WithoutTokens are authorized accounts for which nothing can be called until
	// they authorize again.
	WithoutTokens []string `json:"without_tokens"`
}

// TicketOverview tells of the newest ticket; times are absent if there is none.
type TicketOverview struct {
	CreatedAt  *time.Time `json:"created_at,omitempty"` // by WeChat's clock
	ReceivedAt *time.Time `json:"received_at,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	AgeSeconds *int64     `json:"age_seconds,omitempty"`
	Valid      bool       `json:"valid"`
	// Stale: pushes come every ten minutes, and the last one is older than 25.
	Stale bool `json:"stale"`
}

// TokenOverview tells of the platform's token.
type TokenOverview struct {
	MintedAt   *time.Time `json:"minted_at,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	AgeSeconds *int64     `json:"age_seconds,omitempty"`
	Valid      bool       `json:"valid"`
}

// Overview reads the state of the platform from the store.
func (p *Platform) Overview(ctx context.Context) (Overview, error) {
	o := Overview{
		AppID: p.app.ID, WithoutTokens: []string{},
		Authorizers: map[string]int{StatusAuthorized: 0, StatusUnauthorized: 0, StatusPending: 0},
	}
	t, _, err := load[ticket](ctx, p, p.ticketKey())
	if err != nil {
		return o, err
	}
	own, _, err := load[tokenRecord](ctx, p, p.ownToken().key)
	if err != nil {
		return o, err
	}
	now := p.now()
	o.Ticket.Stale = true
	if !t.CreatedAt.IsZero() {
		age := now.Sub(t.CreatedAt)
		o.Ticket = TicketOverview{
			CreatedAt: moment(t.CreatedAt), ReceivedAt: moment(t.ReceivedAt), ExpiresAt: moment(t.CreatedAt.Add(ticketLife)),
			AgeSeconds: seconds(age), Valid: age < ticketLife && p.open(t.Ticket, p.ticketKey()) != "", Stale: age >= ticketLate,
		}
	}
	if a := own.Access; !a.ExpiresAt.IsZero() {
		o.Token = TokenOverview{
			MintedAt: moment(a.MintedAt), ExpiresAt: moment(a.ExpiresAt), AgeSeconds: seconds(now.Sub(a.MintedAt)),
			Valid: !a.Void && now.Before(a.ExpiresAt) && p.open(a.Token, p.ownToken().key) != "",
		}
	}
	err = p.accounts(ctx, func(key string, r tokenRecord) error {
		o.Authorizers[r.Account.Status]++
		if r.Account.Status == StatusAuthorized && p.open(r.Account.Refresh, key) == "" {
			o.WithoutTokens = append(o.WithoutTokens, r.Account.AppID)
		}
		return nil
	})
	return o, err
}

func seconds(d time.Duration) *int64 {
	n := int64(d / time.Second)
	return &n
}

// Expiries is for gauges: when the newest ticket was made, and when the platform's
// token and the one that ends first of the authorized accounts' end. Zero means
// that there is none.
func (p *Platform) Expiries(ctx context.Context) (ticketAt, own, authorizer time.Time, err error) {
	t, _, err := load[ticket](ctx, p, p.ticketKey())
	if err != nil {
		return ticketAt, own, authorizer, err
	}
	r, _, err := load[tokenRecord](ctx, p, p.ownToken().key)
	if err != nil {
		return ticketAt, own, authorizer, err
	}
	authorizer, err = p.firstEnd(ctx)
	return t.CreatedAt, r.Access.ExpiresAt, authorizer, err
}

// firstEnd looks through the accounts, but not for every scrape.
func (p *Platform) firstEnd(ctx context.Context) (first time.Time, err error) {
	now := p.now()
	p.mu.Lock()
	first, known := p.ends, now.Before(p.endsUntil)
	p.mu.Unlock()
	if known {
		return first, nil
	}
	first = time.Time{}
	err = p.accounts(ctx, func(_ string, r tokenRecord) error {
		if end := r.Access.ExpiresAt; r.Account.Status == StatusAuthorized && !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
		return nil
	})
	if err == nil && !first.IsZero() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ends, p.endsUntil = first, now.Add(seenLife)
	}
	return first, err
}
