package wechat

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// refusalLife is how long a refusal is passed on without asking again. A wrong
// allow-list or a used-up quota does not change within seconds, but every login
// would ask, and count against the quota.
const refusalLife = 10 * time.Second

// keeper keeps one value for each app until its time is over. However many ask
// for one that is missing, it is fetched once.
type keeper struct {
	api     string
	now     func() time.Time
	flights singleflight.Group

	mu   sync.Mutex
	kept map[App]kept
}

type kept struct {
	value string
	err   error // a refusal, instead of a value
	until time.Time
}

// get returns the value of app. fetch is called with a context that outlives
// ctx, because others wait for it too; its life begins when it is called.
func (k *keeper) get(ctx context.Context, app App, fetch func(context.Context) (value string, life time.Duration, err error)) (string, error) {
	if v, found := k.look(app); found {
		return v.value, v.err
	}
	flight := k.flights.DoChan(app.ID+"\x00"+app.Secret, func() (any, error) {
		if v, found := k.look(app); found { // by the flight before this one
			return v.value, v.err
		}
		start := k.now()
		value, life, err := fetch(context.WithoutCancel(ctx))
		if err != nil {
			if _, refused := errors.AsType[*APIError](err); refused {
				k.keep(app, kept{err: err, until: start.Add(refusalLife)})
			}
			return "", err
		}
		k.keep(app, kept{value: value, until: start.Add(life)})
		return value, nil
	})
	select {
	case r := <-flight:
		return r.Val.(string), r.Err
	case <-ctx.Done():
		return "", &UnavailableError{API: k.api, Err: ctx.Err()}
	}
}

func (k *keeper) look(app App) (kept, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, found := k.kept[app]
	return v, found && k.now().Before(v.until)
}

func (k *keeper) keep(app App, v kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[App]kept{}
	}
	k.kept[app] = v
}

// drop forgets a value, if it is still the one that is kept.
func (k *keeper) drop(app App, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept[app].value == value {
		delete(k.kept, app)
	}
}
