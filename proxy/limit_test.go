package proxy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newLimiter(Rate{N: 2, Per: time.Minute}, func() time.Time { return now })
	take := func(addr string, want bool) {
		t.Helper()
		if ok, wait := l.allow(netip.MustParseAddr(addr)); ok != want || ok != (wait == 0) || wait > time.Minute {
			t.Errorf("%s: %v, %v", addr, ok, wait)
		}
	}
	take("192.0.2.1", true)
	take("192.0.2.1", true)
	take("192.0.2.1", false)
	take("192.0.2.1", false) // a refusal costs nothing more
	take("192.0.2.2", true)
	take("2001:db8:1:2::1", true)
	take("2001:db8:1:2:ffff::2", true) // the same /64
	take("2001:db8:1:2::3", false)
	take("2001:db8:1:3::1", true)
	now = now.Add(30 * time.Second)
	take("192.0.2.1", true)
	take("192.0.2.1", false)
	for i := range uint32(maxBuckets + 1000) {
		l.allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(l.by) > maxBuckets {
		t.Errorf("%d buckets", len(l.by))
	}
	take("203.0.113.1", false) // the table is full and so is the shared bucket
	now = now.Add(time.Hour)
	take("203.0.113.1", true)
	if len(l.by) > 10 {
		t.Errorf("%d buckets are left after an hour", len(l.by))
	}
}

func TestLogRecord(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	w.ask("GET /room/%41"+strings.Repeat("x", 5000)+"\x85\u2028\"?token=secret", "Cookie: a=secret\nReferer: http://x/?secret\nUser-Agent: secret\nAuthorization: Bearer secret\n")
	w.ask(strings.Repeat("M", 5000)+" /", "")
	var lines []string
	eventually(t, "two records", func() bool {
		lines = slices.DeleteFunc(strings.Split(w.log.String(), "\n"), func(s string) bool { return !strings.Contains(s, `"msg":"request"`) })
		return len(lines) == 2
	})
	for _, line := range lines {
		if len(line) > 1200 || strings.Contains(line, "secret") || strings.ContainsAny(line, "\x00\x1b") {
			t.Errorf("record %q", line)
		}
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"id", "method", "status", "outcome", "ms", "in", "out", "client"} {
			if _, ok := record[field]; !ok {
				t.Errorf("no %s in %s", field, line)
			}
		}
	}
	if !strings.Contains(lines[0], `"path":"/room/%41`) || app.last().values("X-Request-Id")[0] == "" || !strings.Contains(lines[0], app.last().values("X-Request-Id")[0]) {
		t.Errorf("record %s", lines[0])
	}
}
