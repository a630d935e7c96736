package component_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// Three replicas on one store, and everything that can happen to a platform, at
// once and in any order. When the weather clears, whoever is authorized has tokens
// that work, and nobody else is taken to be.
func TestStorm(t *testing.T) {
	for seed := range uint64(storms) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newStorm(t, seed)
			for round := range 4 {
				s.rage(40)
				s.clear()
				if s.check(); t.Failed() {
					t.Fatalf("in round %d of seed %d\n%s", round, seed, strings.Join(s.diary, "\n"))
				}
				s.calm()
			}
		})
	}
}

const storms = 10

// storm is a world with three replicas and what they have to know by now.
type storm struct {
	*world
	*rand.Rand
	replicas []*replica
	all      []*component.Platform // the dead too
	running  sync.WaitGroup
	holds    []chan struct{}
	states   []string // of links that were opened
	pushes   []wechattest.ComponentPush
	secrets  []byte
	diary    []string

	mu     sync.Mutex
	ticket time.Time         // of the newest that was acknowledged
	heard  map[string]bool   // codes that were, and ends of authorizations by appid and time
	last   map[string]string // by account: what it did last, as in heard
}

type replica struct {
	*component.Platform
	store *memory
}

var stormAccounts = []string{accountID, otherID, programID}

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{
		world: newWorld(t), Rand: rand.New(rand.NewPCG(seed, 1)), secrets: []byte{7},
		heard: map[string]bool{}, last: map[string]string{}, replicas: make([]*replica, 3),
	}
	s.sim.Set(func(b *wechattest.Behaviour) {
		b.EventAttempts, b.AuthCodeSeconds = 1, 3600
		b.RotateRefresh, b.RefreshLingers, b.GrantKeepsRefresh = s.N(2) == 0, s.N(2) == 0, s.N(2) == 0
	})
	for i := range s.replicas {
		s.start(i)
	}
	s.pushTicket()
	s.open()
	return s
}

func (s *storm) N(n int) int { return s.IntN(n) }

func (s *storm) note(format string, args ...any) {
	s.diary = append(s.diary, s.sim.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// start puts a new process into a place.
func (s *storm) start(i int) {
	store := s.store.another()
	ahead := time.Duration(s.N(6000)-3000) * time.Millisecond // no two clocks agree
	s.replicas[i] = &replica{s.platformAt(store, ahead), store}
	s.all = append(s.all, s.replicas[i].Platform)
	s.front.Store(s.replicas[i].Platform)
}

// open opens links, for browsers to return from.
func (s *storm) open() {
	s.states = nil
	for range 8 {
		s.states = append(s.states, s.state())
	}
}

func (s *storm) some() *replica { return s.replicas[s.N(len(s.replicas))] }

// rage lets so many things happen. None waits for the one before.
func (s *storm) rage(steps int) {
	for range steps {
		s.sim.Advance(time.Second + time.Duration(s.N(9000))*time.Millisecond)
		s.front.Store(s.some().Platform)
		p, appid := s.some(), stormAccounts[s.N(len(stormAccounts))]
		switch n := s.N(100); {
		case n < 6:
			s.pushTicket()
		case n < 22:
			s.grant(appid)
		case n < 28:
			s.deauthorize(appid)
		case n < 42:
			s.again()
		case n < 62:
			s.note("a token for %s", appid)
			s.aside(func() { p.Token(s.Context(), appid) })
		case n < 66:
			s.note("the platform's token")
			s.aside(func() { p.WithToken(s.Context(), func(string) error { return nil }) })
		case n < 76:
			s.note("work")
			s.aside(func() { p.Work(s.Context()) })
		case n < 79:
			s.note("sync")
			s.aside(func() { p.Sync(s.Context()) })
		case n < 82:
			s.note("care")
			s.aside(func() { p.Care(s.Context()) })
		case n < 90:
			s.fault()
		case n < 95:
			at := 1 + s.N(15)
			s.note("a replica dies in %d operations", at)
			p.store.die(at)
		case n < 98:
			s.sim.Advance(20 * time.Second)
		default:
			s.sim.ClearFaults()
		}
		for i, r := range s.replicas {
			if r.gone() && s.N(3) == 0 {
				s.note("another replica instead of a dead one")
				s.start(i)
			}
		}
	}
}

func (s *storm) aside(do func()) { s.running.Go(do) }

func (r *replica) gone() bool {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return r.store.dead
}

func (s *storm) pushTicket() {
	at := s.sim.Now()
	_, err := s.sim.PushTicket(s.Context(), platformID)
	s.note("a ticket: %v", err)
	if err == nil {
		s.ticket = at.Truncate(time.Second)
	}
	tickets := s.sim.ComponentState(platformID).Tickets
	s.pushes = append(s.pushes, wechattest.TicketPush(tickets[len(tickets)-1]))
}

// push sends something, now or never; it may come again later.
func (s *storm) push(p wechattest.ComponentPush) {
	s.pushes = append(s.pushes, p)
	if s.N(4) == 0 {
		s.note("… and the push is lost")
		return
	}
	s.send(p)
}

func (s *storm) send(p wechattest.ComponentPush) {
	_, err := s.sim.PushComponent(s.Context(), platformID, p)
	s.note("push of %s: %s %.30v: %v", p.CreateTime.Format(time.TimeOnly), p.InfoType, p.Fields, err)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.InfoType == "component_verify_ticket" {
		if at := p.CreateTime.Truncate(time.Second); at.After(s.ticket) {
			s.ticket = at
		}
		return
	}
	s.heard[name(p)] = true
}

// name is what heard and last know a push by.
func name(p wechattest.ComponentPush) string {
	if p.InfoType == "unauthorized" {
		return p.Fields[1] + p.CreateTime.String()
	}
	return p.Fields[3]
}

// again sends what was sent before, or lost.
func (s *storm) again() {
	if len(s.pushes) > 0 {
		s.send(s.pushes[s.N(len(s.pushes))])
	}
}

func (s *storm) grant(appid string) {
	before := s.authorization(appid)
	code := s.sim.Grant(platformID, appid, 1, 2+s.N(1000))
	kind := "authorized"
	if before != nil {
		kind = "updateauthorized"
	}
	s.last[appid] = code
	s.note("%s grants %.24s", appid, code)
	push := wechattest.ComponentPush{InfoType: kind, CreateTime: s.sim.Now(), Fields: []string{
		"AuthorizerAppid", appid, "AuthorizationCode", code, "AuthorizationCodeExpiredTime", "3600", "PreAuthCode", "p",
	}}
	state, p := s.states[s.N(len(s.states))], s.some()
	browser := func() {
		if _, err := p.Returned(s.Context(), state, code, time.Hour); err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.heard[code] = true
		}
	}
	switch s.N(4) {
	case 0:
		s.push(push)
	case 1:
		s.note("… by the browser alone")
		s.pushes = append(s.pushes, push)
		s.aside(browser)
	case 2:
		s.note("… and the browser returns")
		s.aside(browser)
		s.push(push)
	case 3:
		s.push(push)
		s.note("… and the browser returns")
		s.aside(browser)
	}
}

func (s *storm) authorization(appid string) *wechattest.Authorization {
	for _, a := range s.sim.ComponentState(platformID).Authorizations {
		if a.AppID == appid {
			return &a
		}
	}
	return nil
}

func (s *storm) deauthorize(appid string) {
	if s.authorization(appid) == nil {
		return
	}
	p := wechattest.ComponentPush{InfoType: "unauthorized", CreateTime: s.sim.Now(), Fields: []string{"AuthorizerAppid", appid}}
	s.sim.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true})
	s.sim.Deauthorize(s.Context(), platformID, appid)
	s.note("%s takes it back", appid)
	s.last[appid] = name(p)
	s.push(p)
}

var stormPaths = []string{
	wechattest.ComponentTokenPath, wechattest.QueryAuthPath, wechattest.AuthorizerTokenPath,
	wechattest.AuthorizerInfoPath, wechattest.AuthorizerListPath,
}

func (s *storm) fault() {
	path := stormPaths[s.N(len(stormPaths))]
	f := wechattest.Busy
	switch s.N(4) {
	case 0:
		f = wechattest.Drop
	case 1, 2:
		hold := make(chan struct{})
		s.holds = append(s.holds, hold)
		f = wechattest.Fault{Hold: hold, Processed: s.N(2) == 0}
	}
	s.note("a fault of %s: %+v", path, f)
	s.sim.Inject(path, f)
}

// clear lets the weather clear: no faults, no dead, and the time that leases take.
func (s *storm) clear() {
	s.note("the weather clears")
	s.sim.ClearFaults()
	for _, hold := range s.holds {
		close(hold)
	}
	s.holds = nil
	for i, r := range s.replicas {
		if r.store.restart() {
			s.start(i)
		} // one that was about to die lives on
	}
	s.sim.Advance(time.Minute)
	s.running.Wait()
	for _, p := range s.all {
		p.Wait()
	}
	s.all = nil
	for _, r := range s.replicas {
		s.all = append(s.all, r.Platform)
	}
	for range 4 {
		s.sim.Advance(61 * time.Second)
		s.work()
	}
	if left := s.store.queues["component:"+platformID]; len(left) > 0 {
		s.Errorf("still to be done: %v", left)
	}
}

func (s *storm) work() {
	for _, r := range s.replicas {
		r.Work(s.Context())
		r.Wait()
	}
}
