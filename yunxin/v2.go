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
	return jsonCall(apiUpdateToken, http.MethodPatch, "/im/v2/accounts/"+url.PathEscape(accid), body, token)
}

// https://doc.yunxin.163.com/messaging2/server-apis/TA0NzYzNjk?platform=server
func (v2) updateProfile(accid, name, avatar string) call {
	return jsonCall(apiUpdateProfile, http.MethodPatch, "/im/v2/users/"+url.PathEscape(accid), v2Profile{Name: name, Avatar: &avatar}, "")
}

func jsonCall(api, method, path string, body any, secret string) call {
	b, err := json.Marshal(body)
	if err != nil {
		panic("yunxin: " + err.Error()) // strings always encode
	}
	return call{api: api, method: method, path: path, contentType: "application/json", body: b, secret: secret}
}
