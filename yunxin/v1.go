package yunxin

import (
	"net/http"
	"net/url"
)

// v1 writes the calls of "V9 and earlier": form posts to user/*.action.
// https://doc.yunxin.163.com/messaging/server-apis/DQ3Nzk1MTY?platform=server
type v1 struct{}

func (v1) create(a Account) call {
	form := url.Values{"accid": {a.Accid}}
	for name, value := range map[string]string{"token": a.Token, "name": a.Name, "icon": a.Avatar} {
		if value != "" {
			form.Set(name, value)
		}
	}
	return formCall(apiCreate, "/user/create.action", form, a.Token)
}

// https://doc.commsease.com/en/messaging/server-apis/DUxNDQ3NjA?platform=server
func (v1) setToken(accid, token string) call {
	return formCall(apiUpdateToken, "/user/update.action", url.Values{"accid": {accid}, "token": {token}}, token)
}

// https://doc.yunxin.163.com/messaging/server-apis/zI0NzYyMDQ?platform=server
func (v1) updateProfile(accid, name, avatar string) call {
	form := url.Values{"accid": {accid}, "icon": {avatar}} // an empty icon clears
	if name != "" {
		form.Set("name", name)
	}
	return formCall(apiUpdateProfile, "/user/updateUinfo.action", form, "")
}

// The kick is asked for, because without it connections that are open go on as
// before. https://doc.commsease.com/en/messaging/server-apis/TUzOTA4NTY?platform=server
func (v1) block(accid string) call {
	return formCall(apiBlock, "/user/block.action", url.Values{"accid": {accid}, "needkick": {"true"}}, "")
}

func (v1) unblock(accid string) call {
	return formCall(apiUnblock, "/user/unblock.action", url.Values{"accid": {accid}}, "")
}

// kick does not exist in v1, apart from the one that goes with a block.
func (v1) kick(string, string) (call, bool) { return call{}, false }

func formCall(api, path string, form url.Values, secret string) call {
	return call{
		api:         api,
		method:      http.MethodPost,
		path:        path,
		contentType: "application/x-www-form-urlencoded;charset=utf-8",
		body:        []byte(form.Encode()),
		secret:      secret,
	}
}
