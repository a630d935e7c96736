package proxy

import (
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever has no session of ours is answered without a look at the store,
// whatever they bring along: this one breaks down when it is touched.
func TestStrangersNeverReachTheStore(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, nil, 1, nil, rules("public /assets/"))
	for _, with := range [][]string{nil, {"Cookie", "a=1"}, {"Cookie", "wxgate=x"}, {"Cookie", "wxgate=" + strings.Repeat("MTc", 60)}, {"Authorization", "Bearer wxgate_x"}} {
		b := w.browser(iPhone).stay()
		for _, c := range []struct {
			res  answer
			want int
		}{
			{b.open("/room/7?seat=1", with...), http.StatusFound},
			{b.open("/room/7?seat=1", append([]string{"Sec-Fetch-Dest", "document"}, with...)...), http.StatusFound},
			{b.do(http.MethodHead, "/room/7", append([]string{"Accept", "text/html"}, with...)...), http.StatusFound},
			{b.do(http.MethodPost, "/room/7", with...), http.StatusUnauthorized},
			{b.open("/assets/a.js", with...), http.StatusOK},
		} {
			if c.res.StatusCode != c.want {
				t.Errorf("%s %s with %q: %d, want %d", c.res.Request.Method, c.res.Request.URL, with, c.res.StatusCode, c.want)
			}
		}
	}
	if n := w.store.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// The record of a request has these fields in this order.
func TestRecordOfARequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	b.open("/first")
	b.do(http.MethodPost, "/last")
	const begin = `^{"time":"[^"]+","level":"INFO","msg":"request","id":"[a-z2-7]{16}","method":"`
	for record, want := range map[string]string{
		`"/first","status":302`: begin + `GET","path":"/first","status":302,"outcome":"redirected","ms":[0-9.]+,"in":0,"out":0,"client":"127\.0\.0\.1"}\n$`,
		`"/last"`:               begin + `POST","path":"/last","status":200,"outcome":"forwarded","ms":[0-9.]+,"in":0,"out":[0-9]+,"client":"127\.0\.0\.1","user":"[^"]+"}\n$`,
	} {
		eventually(t, "the record is written", func() bool { return strings.Contains(w.log.String(), record) })
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, record) && !regexp.MustCompile(want).MatchString(line) {
				t.Errorf("wrote %s", line)
			}
		}
	}
}

// A request with a session takes memory four times, its log record apart: for the
// visit, its id, its trace context and the app's share of the cookies.
func TestStepsAllocations(t *testing.T) {
	g, cookie := benchGate(t)
	g.log = slog.New(slog.DiscardHandler)
	r := benchRequest(t, callHeader)
	sent := []string{"a=1; " + cookie}
	out := sink{header: http.Header{}}
	if n := testing.AllocsPerRun(200, func() {
		delete(r.Header, "Traceparent")
		r.Header["Cookie"] = sent
		g.steps(t, &out, r)
	}); n > 4 {
		t.Errorf("%v allocations", n)
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, rules("public /"))
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	got := w.browser(iPhone).do(http.MethodGet, "/x", "Traceparent", trace).echoed(t).Header
	public := w.replica(0).cfg.PublicURL
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "X-Forwarded-Host": public.Host, "X-Forwarded-Proto": public.Scheme, "Traceparent": trace,
	} {
		if !slices.Equal(got[name], []string{want}) {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if !regexp.MustCompile("^[a-z2-7]{16}$").MatchString(got.Get("X-Request-Id")) {
		t.Errorf("request id %q", got["X-Request-Id"])
	}
}

func TestNewTraceParent(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		trace, id := newTraceParent(), newRequestID()
		if !validTraceParent(trace) || !strings.HasSuffix(trace, "-00") || seen[trace] || seen[id] || !regexp.MustCompile("^[a-z2-7]{16}$").MatchString(id) {
			t.Fatalf("made %q and %q", trace, id)
		}
		seen[trace], seen[id] = true, true
	}
}
