package wechattest

import (
	"bytes"
	"encoding/json"
	"slices"
)

// menuButton is a button as far as WeChat looks at it.
type menuButton struct {
	Type      string       `json:"type,omitempty"`
	Name      string       `json:"name"`
	Key       string       `json:"key,omitempty"`
	URL       string       `json:"url,omitempty"`
	MediaID   string       `json:"media_id,omitempty"`
	AppID     string       `json:"appid,omitempty"`
	PagePath  string       `json:"pagepath,omitempty"`
	ArticleID string       `json:"article_id,omitempty"`
	SubButton []menuButton `json:"sub_button"`
}

type menu struct {
	Button []menuButton `json:"button"`
}

// Menu returns the account's menu as it was sent.
func (s *Server) Menu(appid string) (body json.RawMessage, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, found = s.account.menus[appid]
	return slices.Clone(body), found
}

// createMenu: https://developers.weixin.qq.com/doc/service/api/custommenu/api_createcustommenu
func (c *accountCall) createMenu() accountAnswer {
	if c.app.Kind != ServiceAccount {
		return accountAnswer{answer: refuse(48001)}
	}
	body, a, ok := c.readJSON()
	if !ok {
		return a
	}
	if bytes.Contains(body, []byte(`\u`)) {
		return refuseAccount(40033, `invalid charset. please check your request, if include \uxxxx will create fail!`)
	}
	var m menu
	if json.Unmarshal(body, &m) != nil {
		return accountAnswer{answer: refuse(47001)}
	}
	if len(m.Button) < 1 || len(m.Button) > 3 {
		return refuseAccount(40016, "invalid button size")
	}
	for _, b := range m.Button {
		if a, ok := b.check(topButton); !ok {
			return a
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.account.menus == nil {
		c.s.account.menus = map[string]json.RawMessage{}
	}
	c.s.account.menus[c.app.ID] = body
	return fine
}

// buttonRules are the limits and errcodes of one level.
type buttonRules struct {
	what                    string
	nameLimit               int
	kind, name, key, urlLen int
}

var (
	topButton = buttonRules{"button", 16, 40017, 40018, 40019, 40020}
	subButton = buttonRules{"sub button", 60, 40024, 40025, 40026, 40027}
)

func (b menuButton) check(rules buttonRules) (accountAnswer, bool) {
	invalid := func(errcode int, what string) (accountAnswer, bool) {
		return refuseAccount(errcode, "invalid "+rules.what+" "+what), false
	}
	if len(b.Name) == 0 || len(b.Name) > rules.nameLimit {
		return invalid(rules.name, "name size")
	}
	if len(b.SubButton) > 0 {
		switch {
		case rules == subButton:
			return refuseAccount(40022, "invalid sub button level"), false
		case b.Type != "":
			return invalid(rules.kind, "type")
		case len(b.SubButton) > 5:
			return refuseAccount(40023, "invalid sub button size"), false
		}
		for _, sub := range b.SubButton {
			if a, ok := sub.check(subButton); !ok {
				return a, false
			}
		}
		return accountAnswer{}, true
	}
	if len(b.Key) > 128 {
		return invalid(rules.key, "key size")
	}
	if len(b.URL) > 1024 {
		return invalid(rules.urlLen, "url size")
	}
	switch b.Type {
	case "click", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select":
		if b.Key == "" {
			return invalid(rules.key, "key size")
		}
	case "view", "miniprogram":
		switch {
		case b.URL == "":
			return invalid(rules.urlLen, "url size")
		case b.Type == "view":
		case !appidForm.MatchString(b.AppID):
			return refuseAccount(40166, "invalid weapp appid"), false
		case b.PagePath == "":
			return refuseAccount(40165, "invalid weapp pagepath"), false
		}
	case "media_id", "view_limited":
		if b.MediaID == "" {
			return refuseAccount(40007, "invalid media_id"), false
		}
	case "article_id", "article_view_limited":
		if b.ArticleID == "" {
			return refuseAccount(53600, "article id is invalid"), false
		}
	default:
		return invalid(rules.kind, "type")
	}
	return accountAnswer{}, true
}

// getMenu gives the menu back with a sub_button in every button:
// https://developers.weixin.qq.com/doc/service/api/custommenu/api_getmenu
func (c *accountCall) getMenu() accountAnswer {
	if c.app.Kind != ServiceAccount {
		return accountAnswer{answer: refuse(48001)}
	}
	body, found := c.s.Menu(c.app.ID)
	if !found {
		return refuseAccount(46003, "menu no exist")
	}
	var out struct {
		Menu menu `json:"menu"`
	}
	json.Unmarshal(body, &out.Menu) // it was read before it was kept
	fill(out.Menu.Button)
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.Encode(out)
	return accountAnswer{json: bytes.TrimSpace(text.Bytes())}
}

func fill(buttons []menuButton) {
	for i := range buttons {
		if buttons[i].SubButton == nil {
			buttons[i].SubButton = []menuButton{}
		}
		fill(buttons[i].SubButton)
	}
}

// deleteMenu: https://developers.weixin.qq.com/doc/service/api/custommenu/api_deletemenu
func (c *accountCall) deleteMenu() accountAnswer {
	if c.app.Kind != ServiceAccount {
		return accountAnswer{answer: refuse(48001)}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.account.menus, c.app.ID)
	return fine
}
