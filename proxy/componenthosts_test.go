package proxy

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

const hostWarning = "a host is mapped to an account that is not known to have authorized"

// warned runs the look at the mapped hosts, which ends by itself, and returns its
// warnings by host.
func (w *world) warned() map[string]int {
	w.t.Helper()
	w.replica(0).warnOfHosts(w.t.Context())
	n := map[string]int{}
	for line := range strings.SplitSeq(w.log.String(), "\n") {
		if strings.Contains(line, hostWarning) {
			if !strings.Contains(line, `"level":"WARN"`) {
				w.t.Errorf("said as %s", line)
			}
			for _, host := range []string{"shop.example.com", "club.example.com", "play.example.com"} {
				if strings.Contains(line, `"host":"`+host+`"`) {
					n[host]++
				}
			}
		}
	}
	return n
}

// Which host waits for its account is said once, and of the others nothing.
func TestComponentHostWarnings(t *testing.T) {
	t.Parallel()
	w, _, _, _ := newSharing(t)
	w.known(behalfAppID)
	if got := w.warned(); len(got) != 1 || got["club.example.com"] != 1 || !strings.Contains(w.log.String(), `"appid":"`+behalfOtherID+`"`) {
		t.Errorf("warned of %v", got)
	}
	// A grant that was taken back is none, and a store that is away is waited for.
	w.known(behalfOtherID)
	w.tell("unauthorized", "AuthorizerAppid", behalfAppID)
	w.store.down.Store(true)
	synctest.Test(t, func(t *testing.T) {
		var looking sync.WaitGroup
		looking.Go(func() { w.replica(0).warnOfHosts(context.Background()) })
		synctest.Wait()
		w.store.down.Store(false)
		looking.Wait()
	})
	if got := w.warned(); len(got) != 2 || got["shop.example.com"] != 2 || got["club.example.com"] != 1 {
		t.Errorf("warned of %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.store.down.Store(true)
	w.replica(0).warnOfHosts(ctx) // ends with ctx
}
