package yunxin

import (
	"encoding/json"
	"net/http"
	"net/url"
)

// v2 writes the calls of "V10": JSON under /im/v2.
// https://doc.yunxin.163.com/messaging2/server-apis/TQyNjgyMzc?platform=server
type v2 struct{}

// v2Profile is a profile as create and update of users take it.
type v2Profile struct {
	Name   string  `json:"name,omitempty"`
	Avatar *string `json:"avatar,omitempty"` // a pointer, because an empty one clears the picture
}

func (v2) create(a Account) call {
	body := struct {
		AccountID string     `json:"account_id"`
		Token     string     `json:"token,omitempty"`
		Profile   *v2Profile `json:"user_information,omitempty"`
	}{AccountID: a.Accid, Token: a.Token}
	if a.Name != "" || a.Avatar != "" {
		body.Profile = &v2Profile{Name: a.Name}
	}
	if a.Avatar != "" {
		body.Profile.Avatar = &a.Avatar
	}
	return jsonCall(apiCreate, http.MethodPost, "/im/v2/accounts", body, a.Token)
}

func (v2) setToken(accid, token string) call {
	body := map[string]string{"token": token}
	return jsonCall(apiUpdateToken, http.MethodPatch, accountPath(accid), body, token)
}

// https://doc.yunxin.163.com/messaging2/server-apis/TA0NzYzNjk?platform=server
func (v2) updateProfile(accid, name, avatar string) call {
	return jsonCall(apiUpdateProfile, http.MethodPatch, "/im/v2/users/"+url.PathEscape(accid), v2Profile{Name: name, Avatar: &avatar}, "")
}

// Both are one action, named for one of its effects, and enabled false blocks.
// https://yunxin-im.apifox.cn (封禁账号)
func (v2) block(accid string) call {
	body := map[string]bool{"enabled": false, "need_kick": true} // without the kick, open connections go on
	return jsonCall(apiBlock, http.MethodPatch, accountPath(accid)+"/actions/disable", body, "")
}

func (v2) unblock(accid string) call {
	return jsonCall(apiUnblock, http.MethodPatch, accountPath(accid)+"/actions/disable", map[string]bool{"enabled": true}, "")
}

// kick replaces the token and ends the connections in one call where it can, so
// that nothing comes in between. The action kick ends those of all devices with
// type 1; 2 and 3 would spare some.
// https://yunxin-im.apifox.cn/api-147081129 (need_kick), https://yunxin-im.apifox.cn/api-259119576 (kick)
func (v2) kick(accid, token string) (call, bool) {
	if token == "" {
		return jsonCall(apiKick, http.MethodPost, accountPath(accid)+"/actions/kick", map[string]int{"type": 1}, ""), true
	}
	body := map[string]any{"token": token, "need_kick": true}
	return jsonCall(apiUpdateToken, http.MethodPatch, accountPath(accid), body, token), true
}

func accountPath(accid string) string { return "/im/v2/accounts/" + url.PathEscape(accid) }

func jsonCall(api, method, path string, body any, secret string) call {
	b, err := json.Marshal(body)
	if err != nil {
		panic("yunxin: " + err.Error()) // strings, numbers and booleans always encode
	}
	return call{api: api, method: method, path: path, contentType: "application/json", body: b, secret: secret}
}
