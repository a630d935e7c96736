package proxy

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/session/boltstore"
	"wxgate/wechat/wechattest"
)

var tokenGaugeLine = regexp.MustCompile(`(?m)^(wxgate_component_ticket_age_seconds|wxgate_token_expiry_timestamp_seconds\{token="[a-z]+"\}) (\S+)$`)

// tokenGauges are those on a replica's metrics page, by name without its prefix.
func (s *Server) tokenGauges(t *testing.T) map[string]float64 {
	t.Helper()
	rec := httptest.NewRecorder()
	s.Admin().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("metrics: %d %s", rec.Code, rec.Body)
	}
	found := map[string]float64{}
	for _, m := range tokenGaugeLine.FindAllStringSubmatch(rec.Body.String(), -1) {
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.NewReplacer("wxgate_component_ticket_age_seconds", "ticket", `wxgate_token_expiry_timestamp_seconds{token="`, "", `"}`, "").Replace(m[1])
		found[name] = value
	}
	return found
}

func TestTokenGauges(t *testing.T) {
	t.Parallel()
	w, _ := newPlatformWorld(t, 1, func(c *Config) { c.Mini = testMini })
	w.wechat.AddApp(wechattest.App{ID: testMini.ID, Secret: testMini.Secret, Kind: wechattest.MiniProgram})
	g := w.replica(0)
	has := func(when string, names ...string) map[string]float64 {
		t.Helper()
		got := g.tokenGauges(t)
		if have := slices.Sorted(maps.Keys(got)); !slices.Equal(have, names) {
			t.Fatalf("%s: %v, want %v", when, got, names)
		}
		return got
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if got < want-60 || got > want+60 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	end := func() float64 { return float64(w.clock.now().Add(2 * time.Hour).Unix()) }

	has("before anything is known")
	w.opTicket()
	near("a new ticket", has("after a ticket", "ticket")["ticket"], 0)
	first := end()
	w.opAuthorize(opShopID)
	w.clock.advance(10 * time.Minute)
	second := end()
	w.opAuthorize(opGameID)
	got := has("after two authorizations", "authorizer", "component", "ticket")
	near("the ticket", got["ticket"], 600)
	near("the platform's token", got["component"], first)
	near("the first account's token", got["authorizer"], first)
	w.opHears("unauthorized", w.clock.now().Add(time.Minute), "AuthorizerAppid", opShopID)
	w.clock.advance(time.Minute) // accounts are not looked through for every scrape
	near("the other account's token", has("after one is gone", "authorizer", "component", "ticket")["authorizer"], second)

	// Our own accounts' tokens are there once a call needed them.
	token, err := g.tokens.Token(t.Context(), g.cfg.MP)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.tokens.Token(t.Context(), g.cfg.Mini); err != nil {
		t.Fatal(err)
	}
	got = has("with our own", "authorizer", "component", "mini", "mp", "ticket")
	for _, name := range []string{"mp", "mini"} {
		near(name, got[name], float64(time.Now().Add(2*time.Hour).Unix()))
	}
	g.tokens.Drop(g.cfg.MP, token)
	w.store.down.Store(true)
	has("without a store", "mini")
}

// deafStore does not answer about accounts any more.
type deafStore struct {
	*boltstore.Store
	deaf *atomic.Bool
}

func (d deafStore) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if d.deaf.Load() && strings.Contains(key, "/account/") {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	return d.Store.Get(ctx, key)
}

// A store that is slow keeps a scrape for a second. What it told counts, but for the
// tokens of accounts, of which it did not tell all.
func TestTokenGaugesAreBounded(t *testing.T) {
	t.Parallel()
	var deaf atomic.Bool
	w, _ := newPlatformWorldOn(t, deafStore{openSpy(t).Store, &deaf}, 1)
	w.opTicket()
	w.opAuthorize(opShopID)
	w.clock.advance(time.Hour)
	deaf.Store(true)
	start := time.Now()
	got := w.replica(0).tokenGauges(t)
	if took := time.Since(start); took > 10*scrapeLimit {
		t.Errorf("the scrape took %s", took)
	}
	if _, known := got["authorizer"]; known || len(got) != 2 || got["component"] == 0 || got["ticket"] < 3600 || got["ticket"] > 3660 {
		t.Errorf("got %v", got)
	}
}

// Whoever has neither a platform nor a token yet has none of these gauges.
func TestTokenGaugesWithoutAPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	if got := w.replica(0).tokenGauges(t); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
