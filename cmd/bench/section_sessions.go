package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/session/redisstore"
)

const (
	// cacheLife is what the gateway promises: a session is read at most once in
	// this time.
	cacheLife = 5 * time.Second
	// onTheWay is by how much two reads may come closer on their way to Redis
	// than the moments at which they were decided.
	onTheWay = 100 * time.Millisecond
	// herd is how many requests of one session come at once.
	herd = 1000
)

// measureSessions visits with many sessions at random (see pick), and then with a thousand
// requests of one that nobody has asked for yet.
func measureSessions(s *stage, r *report) error {
	if s.redis == nil {
		return errNeedsRedis
	}
	s.say("  making %d sessions", s.people)
	cookies, err := s.makeSessions(s.people + 1)
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "cookies")
	if err := os.WriteFile(file, []byte(strings.Join(cookies[1:], "\n")), 0o600); err != nil {
		return err
	}
	gate, err := s.startGateway()
	if err != nil {
		return err
	}
	defer gate.stop()
	var res loadResult
	span := 6 * s.span
	calls, err := s.callsDuring(func() error {
		res, err = s.cleanLoad(job{
			Addr: gate.addr, Request: appRequest(gate.addr, cookieHole), Status: 200, Conns: s.conns, Span: span, Cookies: file,
		}, nil, nil)
		return err
	})
	if err != nil {
		return err
	}
	now, _ := resident(gate.pid)
	reads := readsOf(calls, sessionKey)
	r.goal(fmt.Sprintf("%d sessions, %d requests at random in %s: most reads of one session in 5 s", s.people, res.Requests, span),
		fmt.Sprint(mostWithin(reads, cacheLife-onTheWay)), "1")
	r.goal("… reads of all sessions, of requests", fmt.Sprintf("%.2f ×", float64(total(reads))/float64(res.Requests)), "")
	r.goal("… resident memory then", megabytes(float64(now)), "")
	s.emptyLog()

	calls, err = s.callsDuring(func() error {
		_, err = s.cleanLoad(job{
			Addr: gate.addr, Request: appRequest(gate.addr, cookies[0]), Status: 200, Conns: herd, Once: true,
		}, nil, nil)
		return err
	})
	if err != nil {
		return err
	}
	r.goal(fmt.Sprintf("%d requests of one cold session at once: reads of the session (and of its user)", herd),
		fmt.Sprintf("%d (%d)", total(readsOf(calls, sessionKey)), total(readsOf(calls, userKey))), "1")
	return nil
}

// makeSessions logs people in without WeChat, each one once, by what the gateway
// itself uses for it. It returns their cookies.
func (s *stage) makeSessions(n int) ([]string, error) {
	store, err := redisstore.Open(s.storeURL(), redisstore.Options{})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	sessions, err := session.NewManager(session.Config{Store: store, Secrets: [][]byte{s.secret[:]}, TTL: 720 * time.Hour, Idle: 168 * time.Hour})
	if err != nil {
		return nil, err
	}
	users := identity.NewDirectory(identity.DirectoryConfig{Store: store})
	one := func(i int) (string, error) {
		openID := fmt.Sprintf("obench%022d", i)
		res, err := users.Resolve(s.ctx, identity.Login{Platform: "default", Channel: identity.ChannelMP, AppID: appID, OpenID: openID})
		if err != nil {
			return "", err
		}
		token, _, err := sessions.Create(s.ctx, session.Session{User: res.User.ID, Channel: identity.ChannelMP, AppID: appID, OpenID: openID, Scope: "snsapi_base"})
		return "wxgate=" + token, err
	}
	cookies := make([]string, n)
	var next atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, 1)
	for range 32 { // so many round trips are on their way at once
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < n && len(failed) == 0; i = int(next.Add(1) - 1) {
				var err error
				if cookies[i], err = one(i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return nil, fmt.Errorf("making sessions: %w", err)
	default:
		return cookies, nil
	}
}

// readsOf returns when each record was read whose key begins so.
func readsOf(calls []redisCall, prefix string) map[string][]time.Time {
	reads := map[string][]time.Time{}
	for _, c := range calls {
		if c.verb == "get" && strings.HasPrefix(c.key, prefix) {
			reads[c.key] = append(reads[c.key], c.at)
		}
	}
	return reads
}

func total(reads map[string][]time.Time) (n int) {
	for _, moments := range reads {
		n += len(moments)
	}
	return n
}

// mostWithin is how often at most one record was read within a time.
func mostWithin(reads map[string][]time.Time, span time.Duration) (most int) {
	for _, moments := range reads {
		slices.SortFunc(moments, time.Time.Compare)
		first := 0
		for last, at := range moments {
			for at.Sub(moments[first]) >= span {
				first++
			}
			most = max(most, last-first+1)
		}
	}
	return most
}
