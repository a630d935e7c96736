package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"sync"
	"time"

	_ "embed"

	"wxgate/wechat/wechattest"
)

const (
	peoplePage = "/demo/people"
	peopleData = peoplePage + ".json"
	peopleStep = peoplePage + "/step"
)

//go:embed demo_people.html
var peopleHTML []byte

// demoPeople is the demo's story of one person with two devices: first a phone,
// which logs in silently and so without unionid, then a PC, whose QR login has
// one, then a word of WeChat's that shows both to be the same. The devices are
// clients with cookies of their own that go through the real gateway; what the
// page shows comes from its admin API and from the events that it posts.
type demoPeople struct {
	public, admin, token string
	sim                  *wechattest.Server

	mu     sync.Mutex
	round  int
	player wechattest.Player
	phone  *device
	pc     *device
	events []json.RawMessage
}

// device is one of the person's.
type device struct {
	client http.Client
	public string
	first  string // the user id at login
}

// peopleView is what the page draws.
type peopleView struct {
	Player string            `json:"player"`
	Phone  *deviceView       `json:"phone"`
	PC     *deviceView       `json:"pc"`
	Follow bool              `json:"follow"`
	Users  []json.RawMessage `json:"users"`
	Events []json.RawMessage `json:"events"`
}

type deviceView struct {
	First string `json:"first"` // the user id at login
	Now   string `json:"now"`   // the user id that its session stands for
}

func newDemoPeople(public, admin, token string, sim *wechattest.Server) *demoPeople {
	p := &demoPeople{public: public, admin: admin, token: token, sim: sim}
	p.begin()
	return p
}

// begin makes somebody new.
func (p *demoPeople) begin() {
	p.round++
	p.player = wechattest.Player{ID: fmt.Sprintf("newcomer-%d", p.round), Nickname: "小满", Note: "两台设备 · two devices"}
	p.sim.AddPlayer(p.player)
	p.phone, p.pc, p.events = nil, nil, nil
}

func (p *demoPeople) tab() demoTab {
	return demoTab{
		path: peoplePage, public: p.public, html: peopleHTML,
		view: func(r *http.Request) (any, error) { return p.view(r.Context()) },
		step: func(r *http.Request, name string) error { return p.step(r.Context(), name) },
	}
}

func (p *demoPeople) step(ctx context.Context, name string) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch name {
	case "phone":
		p.phone, err = p.login(ctx, "iphone", (*device).silently)
	case "pc":
		p.pc, err = p.login(ctx, "pc", func(d *device, ctx context.Context) error { return d.byQR(ctx, p.sim, p.player.ID) })
	case "follow":
		p.player.Follower = true
		p.sim.AddPlayer(p.player)
		err = p.sim.PushEvent(ctx, demoAppID, p.player.ID, "subscribe").Err
	case "again":
		p.begin()
	default:
		err = fmt.Errorf("there is no step %q", name)
	}
	return err
}

func (p *demoPeople) login(ctx context.Context, kind string, how func(*device, context.Context) error) (*device, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	own, err := url.Parse(p.public)
	if err != nil {
		return nil, err
	}
	// The cookies by which the demo and the simulated WeChat know who visits with what.
	jar.SetCookies(own, []*http.Cookie{
		{Name: wechattest.PlayerCookie, Value: p.player.ID, Path: "/"}, {Name: demoClientCookie, Value: kind, Path: "/"},
	})
	d := &device{client: http.Client{Jar: jar, Timeout: 10 * time.Second}, public: p.public}
	if err := how(d, ctx); err != nil {
		return nil, err
	}
	d.first, err = d.me(ctx)
	return d, err
}

// silently is a visit inside WeChat.
func (d *device) silently(ctx context.Context) error {
	_, err := d.get(ctx, d.public+"/")
	return err
}

var qrFrame = regexp.MustCompile(`<iframe[^>]* src="([^"]+)"`)

// byQR opens the login page of a PC, and the phone of the person scans and
// agrees.
func (d *device) byQR(ctx context.Context, sim *wechattest.Server, player string) error {
	page, err := d.get(ctx, d.public+"/.wxgate/login?via=qr")
	if err != nil {
		return err
	}
	frame := qrFrame.FindSubmatch(page)
	if frame == nil {
		return errors.New("the login page of a PC has no QR code")
	}
	src, err := url.Parse(html.UnescapeString(string(frame[1])))
	if err != nil {
		return err
	}
	q := src.Query()
	back := q.Get("redirect_uri") + "?" + url.Values{"code": {sim.IssueCode(q.Get("appid"), player, "snsapi_login")}, "state": {q.Get("state")}}.Encode()
	_, err = d.get(ctx, back)
	return err
}

// me is the id of the user that the device's session stands for.
func (d *device) me(ctx context.Context) (string, error) {
	body, err := d.get(ctx, d.public+"/.wxgate/me")
	if err != nil {
		return "", err
	}
	var who struct {
		User string `json:"user"`
	}
	err = json.Unmarshal(body, &who)
	return who.User, err
}

func (d *device) get(ctx context.Context, address string) ([]byte, error) {
	return fetchPage(ctx, &d.client, address, "Accept", "text/html")
}

func fetchPage(ctx context.Context, client *http.Client, address, header, value string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set(header, value)
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", r.URL.Path, res.Status)
	}
	return body, err
}

func (p *demoPeople) view(ctx context.Context) (peopleView, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := peopleView{Player: p.player.Nickname, Follow: p.player.Follower, Users: []json.RawMessage{}, Events: append([]json.RawMessage{}, p.events...)}
	seen := map[string]bool{}
	look := func(d *device) (*deviceView, error) {
		if d == nil {
			return nil, nil
		}
		now, err := d.me(ctx)
		if err != nil {
			return nil, err
		}
		if !seen[now] {
			seen[now] = true
			user, err := fetchPage(ctx, http.DefaultClient, p.admin+"/admin/users/"+now, "Authorization", "Bearer "+p.token)
			if err != nil {
				return nil, err
			}
			v.Users = append(v.Users, user)
		}
		return &deviceView{d.first, now}, nil
	}
	var err error
	if v.Phone, err = look(p.phone); err == nil {
		v.PC, err = look(p.pc)
	}
	return v, err
}

// maxDemoEvents is how many events the story shows: those of other visitors
// come here, too.
const maxDemoEvents = 12

// event takes what the gateway posts to the app. Its listener is nobody else's;
// a real app checks the signature.
func (p *demoPeople) event(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil || !json.Valid(body) {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, body)
	p.events = p.events[max(0, len(p.events)-maxDemoEvents):]
	w.WriteHeader(http.StatusNoContent)
}
