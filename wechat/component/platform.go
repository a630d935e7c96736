package component

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"wxgate/wechat"
)

// Store is what the platform asks of the database: each operation is atomic for
// its key, nothing is assumed across keys, a lifetime of 0 means for ever. An error
// means that the store could not answer.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error)
	Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (replaced bool, err error)
}

// Queue keeps, in the store, what is still to be done. What was taken and is not
// done comes up again when its lease ends, for any replica.
type Queue interface {
	Schedule(ctx context.Context, queue, id string, at time.Time) error
	TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, max int) ([]string, error)
	Done(ctx context.Context, queue, id string) error
}

// Sealer encrypts secrets that rest in the store, bound to their place.
type Sealer interface {
	Seal(secret []byte, place string) []byte
	Open(sealed []byte, place string) (secret []byte, ok bool)
}

var (
	// ErrNoTicket says that WeChat has pushed no ticket yet, or none for so long
	// that the last one is void: nothing can be asked of WeChat until one comes.
	ErrNoTicket = errors.New("component: there is no valid component_verify_ticket")
	// ErrNotAuthorized says that an account has not authorized the platform, or
	// not any more.
	ErrNotAuthorized = errors.New("component: the account has not authorized this third-party platform")
	// ErrNoGrant says that an account is authorized but its refresh token is not
	// known and WeChat does not tell it: it has to authorize again.
	ErrNoGrant = errors.New("component: the refresh token of the account is not known; it has to authorize again")
	// ErrVoidAtOnce says that another token is not minted yet, or two who void each
	// other's would do nothing else.
	ErrVoidAtOnce = errors.New("component: WeChat calls a token void that replaced a void one less than a minute ago: somebody else mints tokens for this platform")
	// ErrLink says that a link or return address is not of this platform's, used,
	// or too old.
	ErrLink = errors.New("component: the link is unknown, used or too old")
	// ErrContended says that other replicas kept changing a record until the
	// attempts ran out. Trying again is safe.
	ErrContended = errors.New("component: too many competing writers")
)

// Config of a [Platform]. Everything but Announce and Now is required.
type Config struct {
	App    wechat.App // the third-party platform's own appid and secret
	Client *wechat.Client
	Store  Store
	Queue  Queue
	Sealer Sealer
	// Announce keeps events for the app, see [Notice].
	Announce bool
	// Logger gets what an operator has to know and nobody waits for.
	Logger *slog.Logger
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Platform is a third-party platform. All of its replicas work on one store. It
// is safe for concurrent use.
type Platform struct {
	app      wechat.App
	client   *wechat.Client
	store    Store
	queue    Queue
	sealer   Sealer
	announce bool
	log      *slog.Logger
	now      func() time.Time

	started time.Time
	// jitter keeps replicas from renewing at the same moment.
	jitter time.Duration

	flights   singleflight.Group // of tokens, by key
	mu        sync.Mutex
	seen      map[string]seenToken // by key
	changes   int                  // how often something may have ended a refusal
	ends      time.Time            // of the account's token that ends first, as far as looked
	endsUntil time.Time            // when to look again
	// background is work that an acknowledged push began.
	background sync.WaitGroup
}

// New returns a Platform. It makes no call; Run has to run beside it.
func New(c Config) *Platform {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Platform{
		app: c.App, client: c.Client, store: c.Store, queue: c.Queue, sealer: c.Sealer,
		announce: c.Announce, log: c.Logger, now: c.Now,
		started: c.Now(), jitter: rand.N(maxJitter), seen: map[string]seenToken{},
	}
}

// AppID is the platform's own appid (component_appid).
func (p *Platform) AppID() string { return p.app.ID }

// beside runs something that was committed already and that nobody waits for. It
// outlives the request that began it.
func (p *Platform) beside(ctx context.Context, do func(context.Context)) {
	ctx = context.WithoutCancel(ctx)
	p.background.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, besideLimit)
		defer cancel()
		do(ctx)
	})
}

// share does something once for all in this process who want it at a time. It
// outlives the request that began it; who does not wait any longer is told that
// WeChat's api gave no answer.
func share[R any](ctx context.Context, p *Platform, name, api string, limit time.Duration, do func(context.Context) (R, error)) (R, error) {
	flight := p.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		return do(ctx)
	})
	select {
	case r := <-flight:
		return r.Val.(R), r.Err
	case <-ctx.Done():
		var none R
		return none, &wechat.UnavailableError{API: api, Err: ctx.Err()}
	}
}

// besideLimit bounds such work: two calls to WeChat and the writes around them.
const besideLimit = 30 * time.Second
