package yunxin

import (
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

const (
	// Code 416 shuts an interface for ten seconds, and calling it meanwhile
	// only prolongs the outage. The jitter keeps replicas from returning at
	// once. https://doc.yunxin.163.com/messaging/server-apis/zk4Mzg0MjE?platform=server
	shutFor    = 10 * time.Second
	shutJitter = 2 * time.Second
)

// gate remembers which interfaces Yunxin has shut.
type gate struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// left returns how long an interface stays shut, or nothing.
func (g *gate) left(name string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.until[name].Sub(now))
}

// shut closes an interface and returns for how long. Those that are open again
// are forgotten: an app can call any number of paths.
func (g *gate) shut(name string, now time.Time) time.Duration {
	d := shutFor + rand.N(shutJitter)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until == nil {
		g.until = make(map[string]time.Time)
	}
	maps.DeleteFunc(g.until, func(_ string, until time.Time) bool { return !until.After(now) })
	g.until[name] = now.Add(d)
	return d
}

// mayCall returns an error while an interface is shut.
func (c *Client) mayCall(api, name string) error {
	if left := c.gate.left(name, c.now()); left > 0 {
		return &APIError{API: api, Code: 416, Desc: "not sent, the interface is shut", RetryAfter: left, kind: KindRate}
	}
	return nil
}

// interfaceOf names what Yunxin counts, and shuts, as one interface: in v1 a
// path, in v2 a method and a path without its ids. The app's calls and ours meet
// here, because Yunxin does not tell them apart either.
func interfaceOf(method, path string) string {
	at := strings.Index(path, "/im/v2")
	if at < 0 {
		return path
	}
	segments := strings.Split(path[at+1:], "/") // im, v2, a kind of thing, and then ids and actions
	for i := 3; i < len(segments) && segments[i] != "actions"; i++ {
		segments[i] = "*"
	}
	return method + " " + strings.Join(segments, "/")
}
