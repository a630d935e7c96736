package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/session/storetest"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// platformKills is how often wxgate is killed on each back end: right after a push was acknowledged, or when WeChat has
// answered a call for tokens.
const platformKills = 100

func TestPlatformKilledOnBolt(t *testing.T) {
	t.Parallel()
	if !testing.Short() {
		defer leaveUnfinished(t)()
	}
	killPlatform(t, newPlatformStage(t), (*program).kill)
}

// TestPlatformKilledWithRedis kills the Redis server too, every now and then: before wxgate, and after it.
func TestPlatformKilledWithRedis(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	n := 0
	killPlatform(t, newPlatformStage(t, "WXGATE_STORE_URL="+redis.URL), func(p *program) {
		switch n++; n % 20 {
		case 7:
			redis.Stop()
			p.kill()
			redis.Restart()
		case 17:
			p.kill()
			redis.Stop()
			redis.Restart()
		default:
			p.kill()
		}
	})
}

// killing is a platform that is killed again and again, and what it promised until then.
type killing struct {
	*platformStage
	crash func(*program)
	p     *program
	round int
	never chan struct{} // what is held is held for ever
	calls sync.WaitGroup
	said  strings.Builder // by all that were killed

	ticketAt  time.Time // of the newest ticket that was acknowledged
	customers []*customer
	turn      int
	tester    *customer // whose messages are those of the release test
	replies   []string  // that were promised to the test
	lost      int       // answers with refresh tokens that may have died with wxgate
}

// customer is an account that authorizes the platform, and does not any more, and does again.
type customer struct {
	appid   string
	status  string    // what was acknowledged last; "" for nothing
	at      time.Time // when, by WeChat's clock; zero where only the browser told of it
	settled bool      // was seen with its tokens since
	events  []string  // that the app has to hear, in this order
}

func newKilling(s *platformStage, crash func(*program), customers int) *killing {
	k := &killing{platformStage: s, crash: crash, never: make(chan struct{})}
	s.t.Cleanup(func() {
		close(k.never)
		k.calls.Wait()
	})
	// An event comes once, and WeChat likes to change refresh tokens.
	s.wechat.Set(func(b *wechattest.Behaviour) { b.EventAttempts, b.RotateRefresh = 1, true })
	for n := range customers {
		k.customers = append(k.customers, &customer{appid: s.newCustomer(n)})
	}
	return k
}

// all are the accounts of which anything was acknowledged.
func (k *killing) all() (all []*customer) {
	for _, c := range append([]*customer{k.tester}, k.customers...) {
		if c != nil && c.status != "" {
			all = append(all, c)
		}
	}
	return all
}

func killPlatform(t *testing.T, s *platformStage, crash func(*program)) {
	rounds := platformKills
	if testing.Short() {
		rounds = 2 * len(moments)
	}
	k := newKilling(s, crash, rounds)
	k.tester = &customer{appid: "wx570bc396a51b8ff8"}
	s.wechat.AddApp(wechattest.App{ID: k.tester.appid, Secret: "unknown here", Name: "全网发布检测", UserName: "gh_3c884a361561"})

	k.begin()
	k.newTicket()
	k.authorized(k.tester)
	k.kill()
	for k.round = range rounds {
		m := moments[k.round%len(moments)]
		k.timePasses()
		if !m.boot {
			k.begin()
		}
		m.die(k)
		if t.Failed() {
			t.Fatalf("round %d, %s", k.round, m.name)
		}
	}
	k.timePasses()
	k.begin()
	k.conclude()
}

// begin starts wxgate and compares what it knows with what was acknowledged, before anything can be repaired.
func (k *killing) begin() {
	k.t.Helper()
	k.p = k.start()
	if o := k.overview(); !k.ticketAt.IsZero() && (o.Ticket.CreatedAt == nil || !o.Ticket.CreatedAt.Equal(k.ticketAt) || !o.Ticket.Valid) {
		k.t.Errorf("round %d: the ticket is %+v, one of %v was acknowledged", k.round, o.Ticket, k.ticketAt)
	}
	list := k.authorizers()
	for _, c := range k.all() {
		a, known := list[c.appid]
		switch {
		case !known,
			c.status == component.StatusUnauthorized && (a.Status != c.status || a.HasRefreshToken),
			c.settled && (a.Status != c.status || !a.HasRefreshToken || a.Error != ""):
			k.t.Errorf("round %d: %s was acknowledged to be %s (settled: %v) and is %+v", k.round, c.appid, c.status, c.settled, a)
		}
	}
}

// kill ends wxgate, and keeps what it said.
func (k *killing) kill() {
	k.crash(k.p)
	k.p.stderr.mu.Lock()
	defer k.p.stderr.mu.Unlock()
	text := k.p.stderr.b.String()
	for line := range strings.Lines(text) {
		// WeChat may list an account whose push is still on its way: an alarm that ends with the push. What an account
		// is in the end, begin and conclude look at.
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, `"level":"ERROR"`) && !strings.Contains(line, `"an account has no tokens"`) {
			k.t.Errorf("round %d: wxgate said\n%s", k.round, text)
			break
		}
	}
	k.said.WriteString(text)
	k.p.stderr.b.Reset()
	k.concealWeChats()
}

// acknowledged has WeChat push something, and kills wxgate the moment that its answer is there.
func (k *killing) acknowledged(pushes string, push func() (wechattest.Pushed, error)) {
	k.t.Helper()
	k.wechat.Inject(pushes, wechattest.Fault{Processed: true, Reached: k.kill})
	if out, err := push(); err != nil {
		k.t.Fatalf("round %d: the push ends in %v, %d %q", k.round, err, out.Status(), out.Answer())
	}
}

// answered kills wxgate when WeChat has done what a call asks for: before the answer has left if held, else while it is
// on its way, a little later in each round.
func (k *killing) answered(path string, held bool, begin func()) {
	k.t.Helper()
	asked := make(chan struct{})
	f := wechattest.Fault{Processed: true, Reached: func() { close(asked) }}
	if held {
		f.Hold = k.never
	}
	k.wechat.Inject(path, f)
	begin()
	select {
	case <-asked:
	case <-time.After(patience):
		k.t.Fatalf("round %d: wxgate does not call %s", k.round, path)
	}
	if !held {
		// Not a wait for anything: the delay is the moment that this round tries.
		<-time.After(time.Duration(k.round%10) * 300 * time.Microsecond)
	}
	k.kill()
}

// tick lets every event have a second of its own: WeChat's times have no smaller unit.
func (k *killing) tick() { k.wechat.Advance(time.Second) }

// newTicket has WeChat push a ticket, which was acknowledged if there is no error.
func (k *killing) newTicket() (wechattest.Pushed, error) {
	k.t.Helper()
	k.tick()
	out, err := k.wechat.PushTicket(k.t.Context(), platformAppID)
	if err == nil {
		tickets := k.wechat.ComponentState(platformAppID).Tickets
		k.ticketAt = tickets[len(tickets)-1].At.Truncate(time.Second)
	}
	return out, err
}

// conclude lets the last wxgate live, and asks it for everything.
func (k *killing) conclude() {
	t := k.t
	for _, c := range k.all() {
		if c.status == component.StatusAuthorized {
			k.settle(c)
		}
	}
	k.replied()
	unheard := func(c *customer) bool { return !slices.Equal(k.hook.about(c.appid), c.events) }
	within(2*patience, func() bool { return !slices.ContainsFunc(k.all(), unheard) })
	for _, c := range k.all() {
		if unheard(c) {
			t.Errorf("the app heard of %s: %q, want %q", c.appid, k.hook.about(c.appid), c.events)
		}
	}

	// Hours later nothing works any more but the refresh tokens that were kept, and WeChat has forgotten those that it
	// had replaced: what it gives the first time is needed the second time.
	for range 2 {
		k.kill()
		k.wechat.Advance(6 * time.Minute)
		k.timePasses()
		k.begin()
		for _, c := range k.all() {
			err := k.send(c.appid, "hello")
			if works := err == nil; works != (c.status == component.StatusAuthorized) {
				t.Errorf("a call for %s, which is %q: %v", c.appid, c.status, err)
			}
		}
	}
	k.kill()
	if n := strings.Count(k.said.String(), "was read back from WeChat"); n > k.lost {
		t.Errorf("%d refresh tokens had to be read back, %d answers with one were lost", n, k.lost)
	}
	k.discreet("the log", k.said.String())
	k.hook.check(k.platformStage)
}
