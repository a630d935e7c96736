package yunxin

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"wxgate/yunxin/yunxintest"

	"github.com/google/go-cmp/cmp"
)

// pair is a primary and a backup of one Yunxin.
func pair(t *testing.T, api string, edit ...func(*Config)) (primary, backup *yunxintest.Server, c *Client) {
	t.Helper()
	primary = yunxintest.NewServer(yunxintest.Config{})
	t.Cleanup(primary.Close)
	backup = primary.Serve()
	t.Cleanup(backup.Close)
	c = client(t, primary, api, append(edit, func(cfg *Config) {
		cfg.URLs = []string{base(primary, api), base(backup, api)}
	})...)
	return primary, backup, c
}

func hosts(sim *yunxintest.Server, api string) []string {
	var list []string
	for _, e := range sim.Journal(api) {
		list = append(list, "http://"+e.Host)
	}
	return list
}

func TestPrimaryDown(t *testing.T) {
	for _, api := range []string{"v1", "v2"} {
		t.Run(api, func(t *testing.T) {
			var classes []string
			primary, backup, c := pair(t, api, func(cfg *Config) {
				cfg.Observe = func(_, class string, _ time.Duration) { classes = append(classes, class) }
			})
			create := func(accid string) {
				t.Helper()
				if _, err := c.Create(t.Context(), Account{Accid: accid}); err != nil {
					t.Fatal(err)
				}
			}
			create("a")
			primary.Close()
			create("b")
			create("c") // goes straight to the backup
			if d := cmp.Diff([]string{primary.URL, backup.URL, backup.URL}, hosts(primary, "")); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"ok", "unavailable", "ok", "ok"}, classes); d != "" {
				t.Error(d)
			}
			backup.Close()
			_, err := c.Create(t.Context(), Account{Accid: "d"})
			unavailable(t, err)
		})
	}
}

// A backup that fails sends the client back to the primary.
func TestBackAndForth(t *testing.T) {
	primary, backup, c := pair(t, "v2")
	primary.Inject(yunxintest.Fault{Status: 502})
	primary.Inject(yunxintest.Fault{Status: 504, After: 1})
	for _, accid := range []string{"a", "b", "c"} {
		if _, err := c.Create(t.Context(), Account{Accid: accid}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{primary.URL, backup.URL, backup.URL, primary.URL, primary.URL}
	if d := cmp.Diff(want, hosts(primary, "")); d != "" {
		t.Error(d)
	}
}

// A business answer, however bad, is an answer: the address stays.
func TestBusinessErrorKeepsAddress(t *testing.T) {
	primary, _, c := pair(t, "v2")
	primary.Inject(yunxintest.Fault{Code: 503, Times: 2})
	_, err := c.Create(t.Context(), Account{Accid: "a"})
	wantKind(t, err, KindRetry)
	if d := cmp.Diff([]string{primary.URL, primary.URL}, hosts(primary, "")); d != "" {
		t.Error(d)
	}
}

// A caller who waits for less than Timeout must not be stuck for ever on a
// primary that hangs; one who just goes away proves nothing.
func TestImpatientCaller(t *testing.T) {
	primary, backup, c := pair(t, "v1")
	primary.Inject(yunxintest.Fault{API: yunxintest.UpdateToken, Delay: time.Minute, Times: -1})

	gone, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.SetToken(gone, "a", "t") }()
	for len(primary.Journal("")) == 0 { // until it hangs
		select {
		case err := <-done:
			t.Fatalf("did not hang: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("gone: %v", err)
	}
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.SetToken(hurried, "a", "t"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hurried: %v", err)
	}
	if _, err := c.Create(t.Context(), Account{Accid: "a"}); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(hosts(primary, yunxintest.UpdateToken), backup.URL) {
		t.Error("a caller who went away made the client change addresses")
	}
	if d := cmp.Diff([]string{backup.URL}, hosts(primary, yunxintest.Create)); d != "" {
		t.Error(d)
	}
}

func TestRetryOnce(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		for i, code := range []int{102449, 431, 500, 408} {
			sim.ClearJournal()
			sim.Inject(yunxintest.Fault{Code: code})
			if _, err := c.Create(t.Context(), Account{Accid: string(rune('a' + i))}); err != nil {
				t.Errorf("%d: %v", code, err)
			}
			if got := codes(sim, ""); !slices.Equal(got, []int{code, 200}) {
				t.Errorf("%d: answers %v", code, got)
			}
			if j := sim.Journal(""); j[1].Time.Sub(j[0].Time) < retryPause {
				t.Errorf("%d: repeated after %v", code, j[1].Time.Sub(j[0].Time))
			}
		}
		// A caller who has left gets no second attempt.
		sim.ClearJournal()
		sim.Inject(yunxintest.Fault{Code: 500})
		ctx, cancel := context.WithCancel(t.Context())
		c.observe = func(string, string, time.Duration) { cancel() }
		wantKind(t, c.SetToken(ctx, "a", "t"), KindRetry)
		if got := len(sim.Journal("")); got != 1 {
			t.Errorf("%d calls for a caller who left", got)
		}
	})
}

// After a 416 the interface is left alone for ten seconds and a little more,
// the others are not.
func TestRate(t *testing.T) {
	stopped := time.Now()
	both(t, yunxintest.Config{PerSecond: 2, Now: func() time.Time { return stopped }}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		for _, accid := range []string{"a", "b"} {
			if _, err := c.Create(t.Context(), Account{Accid: accid}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Create(t.Context(), Account{Accid: "c"})
		if e := wantKind(t, err, KindRate); e.RetryAfter < 10*time.Second || e.RetryAfter > 12*time.Second {
			t.Errorf("RetryAfter %v", e.RetryAfter)
		}
		silent := func() {
			t.Helper()
			_, err := c.Ensure(t.Context(), Account{Accid: "a", Token: "t"})
			if e := wantKind(t, err, KindRate); e.RetryAfter <= 0 || e.RetryAfter > 12*time.Second || e.Code != 416 {
				t.Errorf("%+v", e)
			}
			if got := codes(sim, yunxintest.Create); !slices.Equal(got, []int{200, 200, 416}) {
				t.Errorf("a call within ten seconds of a 416: %v", got)
			}
		}
		silent()
		if err := c.SetToken(t.Context(), "a", "t"); err != nil {
			t.Errorf("another interface: %v", err)
		}
		sim.Advance(9999 * time.Millisecond)
		silent()
		sim.Advance(2 * time.Second)
		if _, err := c.Create(t.Context(), Account{Accid: "z"}); err != nil {
			t.Errorf("after twelve seconds: %v", err)
		}
	})
}

// A 416 in answer to the second attempt shuts the interface too.
func TestRateOnRetry(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Inject(yunxintest.Fault{Status: 502})
		sim.Inject(yunxintest.Fault{Code: 416, Text: "x"})
		for range 3 {
			_, err := c.Create(t.Context(), Account{Accid: "a"})
			wantKind(t, err, KindRate)
		}
		if got := len(sim.Journal("")); got != 2 {
			t.Errorf("%d calls, want 2", got)
		}
	})
}
