package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"time"

	"wxgate/wechat/wechattest"
)

// visitor is a person inside WeChat: cookies, WeChat's User-Agent, and a wish
// for pages.
type visitor struct {
	public *url.URL // of the gateway
	client *http.Client
}

// newVisitor comes as one of the simulator's players.
func (s *stage) newVisitor(player string) *visitor {
	jar, _ := cookiejar.New(nil)
	v := &visitor{public: &url.URL{Scheme: "http", Host: s.listen}, client: &http.Client{
		Jar: jar, Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	// Cookies do not tell ports apart: the simulated WeChat gets this one.
	jar.SetCookies(v.public, []*http.Cookie{{Name: wechattest.PlayerCookie, Value: player, Path: "/"}})
	return v
}

// page asks for one page and follows nothing.
func (v *visitor) page(ctx context.Context, address string) (status int, location string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("User-Agent", wechattest.UAIOS)
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	res, err := v.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Location"), err
}

// begin goes to WeChat and returns where WeChat sends the browser back to.
func (v *visitor) begin(ctx context.Context) (callback string, err error) {
	address := v.public.String() + "/.wxgate/login?next=%2F"
	for range 2 {
		status, next, err := v.page(ctx, address)
		if err != nil {
			return "", err
		}
		if status != http.StatusFound {
			return "", fmt.Errorf("the login got stuck: %s answered %d", address, status)
		}
		address = next
	}
	return address, nil
}

// finish comes back from WeChat and returns how long the gateway took.
func (v *visitor) finish(ctx context.Context, callback string) (time.Duration, error) {
	began := time.Now()
	status, _, err := v.page(ctx, callback)
	took := time.Since(began)
	if err == nil && (status != http.StatusSeeOther || v.cookie() == "") {
		err = fmt.Errorf("the login ended with status %d and the cookie %q", status, v.cookie())
	}
	return took, err
}

func (v *visitor) login(ctx context.Context) (time.Duration, error) {
	callback, err := v.begin(ctx)
	if err != nil {
		return 0, err
	}
	return v.finish(ctx, callback)
}

// cookie is the session as a Cookie header says it, empty without one.
func (v *visitor) cookie() string {
	for _, c := range v.client.Jar.Cookies(v.public) {
		if c.Name == "wxgate" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}
