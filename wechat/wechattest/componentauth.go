package wechattest

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// createPreAuthCode: https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getpreauthcode
func (c *call) createPreAuthCode() answer {
	p, _, a, ok := c.platform()
	if !ok {
		return a
	}
	life := time.Duration(cmp.Or(c.b.PreAuthSeconds, 1800)) * time.Second
	maps.DeleteFunc(p.preAuth, func(_ string, old *preAuthCode) bool { return old.expires.Add(time.Hour).Before(c.now) })
	code := "preauthcode@@@" + random(64)
	p.preAuth[code] = &preAuthCode{expires: c.now.Add(life)}
	return answer{fields: []field{{"pre_auth_code", code}, {"expires_in", int(life / time.Second)}}}
}

// queryAuth exchanges an authorization code, once:
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getauthorizerrefreshtoken
func (c *call) queryAuth() answer {
	p, in, a, ok := c.platform()
	if !ok {
		return a
	}
	code := p.codes[in.AuthorizationCode]
	switch {
	case code == nil:
		return refuse(61009)
	case code.used, !c.now.Before(code.at.Add(code.life)):
		return refuse(61010)
	case p.authorization(code.authorization.appid) != code.authorization:
		return refuse(61003) // the account took it back meanwhile
	}
	code.used = true
	granted := code.authorization
	granted.exchanged = true
	c.entry.AppID = granted.appid
	fields := object{{"authorizer_appid", granted.appid}}
	fields = append(fields, c.lend(p, granted)...)
	return answer{fields: []field{{"authorization_info", append(fields, field{"func_info", functionList(granted.functions)})}}}
}

// lend makes an access token of an account for the platform. The one before is
// good for five minutes more.
func (c *call) lend(p *component, a *authorization) object {
	if a.current != nil {
		a.current.void = c.now.Add(overlap)
	}
	a.current = c.newServerToken(a.appid)
	a.current.component = p.ID
	a.mints++
	return object{
		{"authorizer_access_token", a.current.value},
		{"expires_in", int(tokenLife / time.Second)},
		{"authorizer_refresh_token", a.refresh},
	}
}

func functionList(functions []int) list {
	all := list{}
	for _, id := range functions {
		all = append(all, object{{"funcscope_category", object{{"id", id}}}})
	}
	return all
}

// granted finds what an account granted to the platform.
func (c *call) granted(p *component, appid string) (*authorization, answer, bool) {
	_, known := c.s.apps[appid]
	granted := p.authorization(appid)
	switch {
	case appid == "":
		return nil, refuse(41002), false
	case !known && !releaseAccount(appid):
		return nil, refuse(40013), false
	case granted == nil:
		return nil, refuse(61003), false
	}
	c.entry.AppID = appid
	return granted, answer{}, true
}

// authorizerToken: https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getauthorizeraccesstoken.html
func (c *call) authorizerToken() answer {
	p, in, a, ok := c.platform()
	if !ok {
		return a
	}
	granted, a, ok := c.granted(p, in.AuthorizerAppID)
	if !ok {
		return a
	}
	if !granted.knows(in.RefreshToken, c.now) {
		return refuse(61023)
	}
	if c.b.RotateRefresh {
		granted.renewRefresh(c.now, overlap)
	}
	return answer{fields: c.lend(p, granted)}
}

const maxListed = 500

// authorizerList: https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizerlist
//
// It leaves out the refresh token of a grant whose code nobody exchanged.
func (c *call) authorizerList() answer {
	p, in, a, ok := c.platform()
	if !ok {
		return a
	}
	if in.Count > maxListed || in.Count < 0 || in.Offset < 0 {
		return refuse(40170)
	}
	from := min(in.Offset, len(p.accounts))
	all := list{}
	for _, granted := range p.accounts[from:min(from+in.Count, len(p.accounts))] {
		item := object{{"authorizer_appid", granted.appid}}
		if granted.exchanged {
			item = append(item, field{"refresh_token", granted.refresh})
		}
		all = append(all, append(item, field{"auth_time", int(granted.at.Unix())}))
	}
	return answer{fields: []field{{"total_count", len(p.accounts)}, {"list", all}}}
}

// optionValues are the values of each option.
var optionValues = map[string][]string{
	"location_report":  {"0", "1", "2"},
	"voice_recognize":  {"0", "1"},
	"customer_service": {"0", "1"},
}

// option checks a call about an option of an account. WeChat's pages disagree
// about the token: the platform's, with the account in the body, or the one that
// the account lent to it.
// https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizeroptioninfo.md
func (c *call) option() (granted *authorization, in componentRequest, a answer, ok bool) {
	t := c.s.server[cmp.Or(c.query.Get("access_token"), c.query.Get("component_access_token"))]
	if t != nil && t.app != "" && t.component != "" {
		if _, a, ok = c.account(); !ok {
			return nil, in, a, false
		}
		if a, ok = c.decode(&in); !ok {
			return nil, in, a, false
		}
		if in.AuthorizerAppID != "" && in.AuthorizerAppID != t.app {
			return nil, in, refuse(61003), false
		}
		granted = c.s.components[t.component].authorization(t.app)
	} else {
		var p *component
		if p, in, a, ok = c.platform(); !ok {
			return nil, in, a, false
		}
		if granted, a, ok = c.granted(p, in.AuthorizerAppID); !ok {
			return nil, in, a, false
		}
	}
	if optionValues[in.OptionName] == nil {
		return nil, in, refuse(61012), false
	}
	return granted, in, answer{}, true
}

func (c *call) getOption() answer {
	granted, in, a, ok := c.option()
	if !ok {
		return a
	}
	return answer{fields: []field{
		{"authorizer_appid", granted.appid}, {"option_name", in.OptionName},
		{"option_value", cmp.Or(granted.options[in.OptionName], "0")},
	}}
}

func (c *call) setOption() answer {
	granted, in, a, ok := c.option()
	switch {
	case !ok:
		return a
	case !slices.Contains(optionValues[in.OptionName], in.OptionValue):
		return refuse(61013)
	}
	granted.options[in.OptionName] = in.OptionValue
	return done
}
