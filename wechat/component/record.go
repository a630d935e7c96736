package component

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

const (
	// recordVersion is written into every record. One of a later version is
	// refused rather than written back without what that version knows.
	recordVersion = 1
	// maxAttempts bounds every compare-and-swap loop: a lost attempt means that
	// another replica got on.
	maxAttempts = 100
)

// errRecord is in the chain of what is wrong with a record and not with the store.
var errRecord = errors.New("component: a record cannot be read")

// errNoChange is returned by a change that wants nothing written.
var errNoChange = errors.New("component: no change")

// key is where something of this platform rests. The parts are escaped, so that
// no two lists of parts make the same key.
func (p *Platform) key(parts ...string) string {
	key := "t:" + url.PathEscape(p.app.ID)
	for _, part := range parts {
		key += "/" + url.PathEscape(part)
	}
	return key
}

func (p *Platform) accountKey(appID string) string { return p.key("account", appID) }

// queueName is the due-queue of this platform.
func (p *Platform) queueName() string { return "component:" + p.app.ID }

// versioned is around every record.
type versioned struct {
	Version int             `json:"v"`
	Key     string          `json:"key"` // repeats where it is stored
	Body    json.RawMessage `json:"body"`
}

func encode(key string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(versioned{recordVersion, key, text})
}

func decode(key string, raw []byte, body any) error {
	var v versioned
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	switch {
	case v.Version != recordVersion:
		return fmt.Errorf("%w: it has version %d, this program knows %d", errRecord, v.Version, recordVersion)
	case v.Key != key:
		return fmt.Errorf("%w: the store answered with another one", errRecord)
	}
	if err := json.Unmarshal(v.Body, body); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	return nil
}

// load reads a record; the zero value stands for one that is not there.
func load[R any](ctx context.Context, p *Platform, key string) (body R, raw []byte, err error) {
	raw, found, err := p.store.Get(ctx, key)
	if err != nil {
		return body, nil, fmt.Errorf("component: reading the store: %w", err)
	}
	if !found {
		return body, nil, nil
	}
	return body, raw, decode(key, raw, &body)
}

// swap writes a record if it is still what was read; no raw bytes mean that there
// was none.
func swap(ctx context.Context, p *Platform, key string, raw []byte, body any, ttl time.Duration) (done bool, err error) {
	text, err := encode(key, body)
	if err != nil {
		return false, err
	}
	if raw == nil {
		done, err = p.store.Create(ctx, key, text, ttl)
	} else {
		done, err = p.store.Replace(ctx, key, raw, text, ttl)
	}
	if err != nil {
		return false, fmt.Errorf("component: writing the store: %w", err)
	}
	return done, nil
}

// modify changes a record, or makes it, against any number of competitors. change
// may be called several times, each time with what is stored now; nil raw bytes
// mean that nothing is.
func modify[R any](ctx context.Context, p *Platform, key string, ttl time.Duration, change func(body *R, found bool) error) (R, error) {
	for range maxAttempts {
		body, raw, err := load[R](ctx, p, key)
		if err != nil {
			return body, err
		}
		switch err := change(&body, raw != nil); {
		case errors.Is(err, errNoChange):
			return body, nil
		case err != nil:
			return body, err
		}
		if text, err := encode(key, body); err == nil && bytes.Equal(text, raw) {
			return body, nil
		}
		if done, err := swap(ctx, p, key, raw, body, ttl); err != nil || done {
			return body, err
		}
	}
	var none R
	return none, ErrContended
}

// seal and open are for the secrets inside records. A secret that does not open,
// because its key is gone, counts as lost: "".
func (p *Platform) seal(secret, place string) []byte {
	if secret == "" {
		return nil
	}
	return p.sealer.Seal([]byte(secret), place)
}

func (p *Platform) open(sealed []byte, place string) string {
	if len(sealed) == 0 {
		return ""
	}
	secret, ok := p.sealer.Open(sealed, place)
	if !ok {
		return ""
	}
	return string(secret)
}

// hash names a secret without revealing it.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// randomName is 26 letters and digits that nobody guesses.
func randomName() string { return rand.Text() }
