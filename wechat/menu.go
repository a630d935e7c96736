package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

const (
	apiMenuGet    = "cgi-bin/menu/get"
	apiMenuCreate = "cgi-bin/menu/create"
	apiMenuDelete = "cgi-bin/menu/delete"

	// noMenu is the errcode of menu/get for an account without a menu.
	noMenu = 46003

	// WeChat's limits, in bytes of UTF-8 and in buttons:
	// https://developers.weixin.qq.com/doc/service/api/custommenu/api_createcustommenu
	maxTopButtons = 3
	maxSubButtons = 5
	maxTopName    = 16
	maxSubName    = 60
	maxMenuKey    = 128
	maxMenuURL    = 1024
)

// Menu is the custom menu of a service account (自定义菜单), one or two levels
// deep. No buttons means no menu.
type Menu struct {
	Buttons []Button `json:"button"`
}

// Button is one entry of a [Menu]: it acts, and then has a Type, or it opens a
// second level, and then has SubButtons and a name only.
type Button struct {
	// Type is what a tap does: click, view, miniprogram, scancode_push,
	// scancode_waitmsg, pic_sysphoto, pic_photo_or_album, pic_weixin,
	// location_select, media_id, view_limited, article_id, article_view_limited.
	Type string `json:"type,omitempty"`
	// Name has at most 16 bytes, on the second level 60. Phones show four
	// Chinese characters of it, on the second level eight.
	Name string `json:"name,omitempty"`
	// Key comes back in the event that a tap causes; at most 128 bytes.
	Key string `json:"key,omitempty"`
	// URL is the page of a view, or of a miniprogram on clients too old for it;
	// http or https, at most 1024 bytes. It need not be an authorize link.
	URL        string   `json:"url,omitempty"`
	MediaID    string   `json:"media_id,omitempty"`
	AppID      string   `json:"appid,omitempty"`    // of the mini program
	PagePath   string   `json:"pagepath,omitempty"` // in the mini program
	ArticleID  string   `json:"article_id,omitempty"`
	SubButtons []Button `json:"sub_button,omitempty"`
}

// texts returns the texts of a button by their names in JSON.
func (b *Button) texts() map[string]*string {
	return map[string]*string{
		"type": &b.Type, "name": &b.Name, "key": &b.Key, "url": &b.URL, "media_id": &b.MediaID,
		"appid": &b.AppID, "pagepath": &b.PagePath, "article_id": &b.ArticleID,
	}
}

// buttonNeeds names the texts that a button of each type cannot do without.
var buttonNeeds = map[string][]string{
	"click":                {"key"},
	"scancode_push":        {"key"},
	"scancode_waitmsg":     {"key"},
	"pic_sysphoto":         {"key"},
	"pic_photo_or_album":   {"key"},
	"pic_weixin":           {"key"},
	"location_select":      {"key"},
	"view":                 {"url"},
	"miniprogram":          {"url", "appid", "pagepath"},
	"media_id":             {"media_id"},
	"view_limited":         {"media_id"},
	"article_id":           {"article_id"},
	"article_view_limited": {"article_id"},
}

// Menu returns the account's menu, without buttons if it has none. GET
// /cgi-bin/menu/get, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/custommenu/api_getmenu
//
// Menus for some followers only (个性化菜单), and fields that this package does
// not know, are left out; all others can be given to [ServerTokens.SetMenu] again.
// A menu made on WeChat's own pages is not shown by this call.
func (t *ServerTokens) Menu(ctx context.Context, app App) (Menu, error) {
	m := Menu{Buttons: []Button{}}
	err := t.with(ctx, app, func(token string) error {
		return t.client.call(ctx, menuRequest(apiMenuGet, token), func(r reply) error {
			var got Menu
			if err := json.Unmarshal(r["menu"], &got); err != nil || got.Buttons == nil {
				// The JSON error is left out, which quotes the menu.
				return errors.New("answer without a menu that can be read")
			}
			m = got
			return nil
		})
	})
	if e, ok := errors.AsType[*APIError](err); ok && e.Code == noMenu {
		return m, nil
	}
	if err != nil {
		return Menu{}, err
	}
	return m, nil
}

// SetMenu replaces the account's menu. POST /cgi-bin/menu/create, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/custommenu/api_createcustommenu
//
// A menu without buttons takes the menu away, and with it all menus for some
// followers only: GET /cgi-bin/menu/delete,
// https://developers.weixin.qq.com/doc/service/api/custommenu/api_deletemenu
//
// A menu that [Menu.Check] refuses is not sent: its [*MenuError] is returned.
// Phones show a new menu when they last asked over five minutes ago.
func (t *ServerTokens) SetMenu(ctx context.Context, app App, m Menu) error {
	if err := m.Check(); err != nil {
		return err
	}
	if len(m.Buttons) == 0 {
		return t.with(ctx, app, func(token string) error {
			return t.client.call(ctx, menuRequest(apiMenuDelete, token), reply.success)
		})
	}
	body, err := m.encode()
	if err != nil {
		return err
	}
	a, err := t.do(ctx, app, apiMenuCreate, Call{
		Method: http.MethodPost, Path: apiMenuCreate,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   bytes.NewReader(body), ContentLength: int64(len(body)),
	})
	if err != nil {
		return err
	}
	a.res.Body.Close()
	if a.err != nil {
		return a.err
	}
	if err := a.head.success(); err != nil {
		return &UnavailableError{API: apiMenuCreate, Status: a.res.StatusCode, Err: err}
	}
	return nil
}

func menuRequest(api, token string) request {
	return request{api: api, query: url.Values{"access_token": {token}}, hide: []string{"access_token"}}
}

// success demands that an answer says so itself: it has nothing else to say.
func (r reply) success() error {
	if n, ok := r.number("errcode"); !ok || n != 0 {
		return errors.New("answer without errcode")
	}
	return nil
}

// encode writes the menu as characters: WeChat refuses \u escapes with 40033, and
// encoding/json makes one of every & in a URL if it is let.
func (m Menu) encode() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
