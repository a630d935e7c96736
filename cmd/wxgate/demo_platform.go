package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	_ "embed"

	"wxgate/wechat/wechattest"
)

const (
	platformPage = "/demo/platform"
	platformData = platformPage + ".json"
	platformStep = platformPage + "/step"
)

//go:embed demo_platform.html
var platformHTML []byte

// demoPlatform is the demo's story of a third-party platform, as its operator sees
// it: a ticket arrives, a customer authorizes an account, players log in on behalf
// of it on a host of their own and write to it, WeChat tests the platform, the
// customer leaves. The operator's part goes through the gateway's admin API, the
// customer's through the pages of the simulated WeChat.
type demoPlatform struct {
	public, admin, token string
	wechat               string // where the simulated WeChat is
	host                 string // mapped to the customer's account
	sim                  *wechattest.Server

	mu      sync.Mutex
	link    *platformLink
	message *platformMessage
	release *wechattest.ReleaseReport
	known   bool // the customer authorized the platform once
	events  []json.RawMessage
}

// platformLink is the newest invitation.
type platformLink struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires_at"`
	Mobile  bool      `json:"mobile"`
}

// platformMessage is what a player wrote to the customer's account and was answered.
type platformMessage struct {
	Text  string `json:"text"`
	Reply string `json:"reply"`
}

// platformView is what the page draws.
type platformView struct {
	Overview    json.RawMessage           `json:"overview"`
	Authorizers json.RawMessage           `json:"authorizers"`
	Customer    string                    `json:"customer"` // appid
	Host        string                    `json:"host"`
	WeChat      string                    `json:"wechat"`
	Published   bool                      `json:"published"`
	Sets        map[int]string            `json:"sets"` // names of the permission sets
	Visitor     platformVisitor           `json:"visitor"`
	Link        *platformLink             `json:"link"`
	Message     *platformMessage          `json:"message"`
	Release     *wechattest.ReleaseReport `json:"release"`
	Events      []json.RawMessage         `json:"events"`
}

// platformVisitor is whoever this browser plays, at the customer's account.
type platformVisitor struct {
	Player string `json:"player"`
	OpenID string `json:"openid"`
	User   string `json:"user"` // "" before the first login there
}

// agent is the User-Agent for what belongs to the story. An administrator who
// authorizes sits at a PC, or has opened the link on the phone, whoever the visitor
// plays elsewhere.
func (p *demoPlatform) agent(r *http.Request) (string, bool) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, authorizePages), path == wechattest.ComponentLoginPath, path == wechattest.BindComponentPath:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.link != nil && p.link.Mobile {
			return wechattest.UAIOS, true
		}
		return wechattest.UAPlainChrome, true
	case r.Host == p.host, r.URL.Query().Has("component_appid"):
		return wechattest.UAIOS, true
	}
	return "", false
}

// opened reports that there is something to see at the customer's host.
func (p *demoPlatform) opened() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = p.known || slices.ContainsFunc(p.sim.ComponentState(demoPlatformID).Authorizations, func(a wechattest.Authorization) bool {
		return a.AppID == demoCustomerID
	})
	return p.known
}

func (p *demoPlatform) tab() demoTab {
	return demoTab{
		path: platformPage, public: p.public, html: platformHTML,
		view: func(r *http.Request) (any, error) { return p.view(r.Context(), p.player(r)) },
		step: p.step,
	}
}

// player is whom this browser plays.
func (p *demoPlatform) player(r *http.Request) string {
	players := p.sim.Players()
	if c, err := r.Cookie(wechattest.PlayerCookie); err == nil && slices.ContainsFunc(players, func(one wechattest.Player) bool { return one.ID == c.Value }) {
		return c.Value
	}
	return players[0].ID
}

func (p *demoPlatform) step(r *http.Request, name string) (err error) {
	ctx := r.Context()
	switch name {
	case "ticket":
		_, err = p.sim.PushTicket(ctx, demoPlatformID)
	case "link":
		err = p.invite(ctx, r.FormValue("mobile") != "")
	case "message":
		err = p.write(ctx, p.player(r), cmp.Or(r.FormValue("text"), "你好"))
	case "release":
		err = p.test(ctx)
	case "leave":
		_, err = p.sim.Deauthorize(ctx, demoPlatformID, demoCustomerID)
	default:
		err = fmt.Errorf("there is no step %q", name)
	}
	return err
}

func (p *demoPlatform) invite(ctx context.Context, mobile bool) error {
	body, err := p.ask(ctx, http.MethodPost, "component/links", fmt.Sprintf(`{"mobile":%t}`, mobile))
	if err != nil {
		return err
	}
	link := platformLink{Mobile: mobile}
	if err := json.Unmarshal(body, &link); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = &link
	return nil
}

func (p *demoPlatform) write(ctx context.Context, player, text string) error {
	out, err := p.sim.PushTextOnBehalf(ctx, demoPlatformID, demoCustomerID, player, text)
	if err != nil {
		return err
	}
	m := platformMessage{Text: text}
	if out.Reply != "" {
		var reply textMessage
		if err := xml.Unmarshal([]byte(out.Reply), &reply); err != nil {
			return err
		}
		m.Reply = reply.Content
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.message = &m
	return nil
}

// test runs WeChat's test, after which every account may authorize the platform.
func (p *demoPlatform) test(ctx context.Context) error {
	report, err := p.sim.ReleaseTest(ctx, demoPlatformID)
	if err != nil {
		return err
	}
	if report.Passed {
		p.register(true)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release = &report
	return nil
}

func (p *demoPlatform) view(ctx context.Context, player string) (v platformView, err error) {
	if v.Overview, err = p.ask(ctx, http.MethodGet, "component", ""); err != nil {
		return v, err
	}
	body, err := p.ask(ctx, http.MethodGet, "component/authorizers", "")
	if err != nil {
		return v, err
	}
	var list struct{ Authorizers json.RawMessage }
	if err := json.Unmarshal(body, &list); err != nil {
		return v, err
	}
	v.Visitor = platformVisitor{Player: player, OpenID: p.sim.OpenID(player, demoCustomerID)}
	if v.Visitor.User, err = p.user(ctx, v.Visitor.OpenID); err != nil {
		return v, err
	}
	v.Sets = map[int]string{}
	for _, set := range wechattest.PermissionSets() {
		v.Sets[set.ID] = set.Name
	}
	v.Authorizers, v.Customer, v.Host, v.WeChat = list.Authorizers, demoCustomerID, p.host, p.wechat
	v.Published = p.sim.ComponentState(demoPlatformID).Component.Published
	p.mu.Lock()
	defer p.mu.Unlock()
	v.Link, v.Message, v.Release, v.Events = p.link, p.message, p.release, append([]json.RawMessage{}, p.events...)
	return v, nil
}

// user is the id of whoever has this openid at the customer's account, "" for nobody.
func (p *demoPlatform) user(ctx context.Context, openID string) (string, error) {
	body, err := p.ask(ctx, http.MethodGet, "users?"+url.Values{"appid": {demoCustomerID}, "openid": {openID}}.Encode(), "")
	if errors.Is(err, errNotThere) {
		return "", nil
	}
	var user struct{ ID string }
	if err == nil {
		err = json.Unmarshal(body, &user)
	}
	return user.ID, err
}

var errNotThere = errors.New("not found")

// ask is a call of the gateway's admin API.
func (p *demoPlatform) ask(ctx context.Context, method, path, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.admin+"/admin/"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusNotFound:
		return nil, errNotThere
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("/admin/%s answered %s: %s", path, res.Status, bytes.TrimSpace(text))
	}
	return text, nil
}
