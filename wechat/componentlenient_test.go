package wechat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wxgate/wechat"
)

func TestStartPushTicketTellsWhetherItRan(t *testing.T) {
	w, c := startWire(t, "")
	for answer, want := range map[string]bool{
		`{"errcode":0,"errmsg":"ok"}`:                                        false,
		`{"errcode":"0","errmsg":"ok"}`:                                      false,
		`{"errcode":0,"errmsg":"in a normal state"}`:                         true,
		`{"errcode":0,"errmsg":"in a Normal State rid: 65a4f1b2-0c1d-4a5b"}`: true,
	} {
		w.say(answer)
		if running, err := c.StartPushTicket(t.Context(), component); err != nil || running != want {
			t.Errorf("%s: %v, %v", answer, running, err)
		}
	}
	for _, answer := range []string{`{"errmsg":"in a normal state"}`, `{"errcode":-1,"errmsg":"in a normal state"}`} {
		w.say(answer)
		if running, err := c.StartPushTicket(t.Context(), component); err == nil || running {
			t.Errorf("%s: %v, %v", answer, running, err)
		}
	}
}

func TestPlatformSecretThatIsWrong(t *testing.T) {
	w, c := startWire(t, `{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest rid: 1"}`)
	_, err := c.ComponentToken(t.Context(), component, "ticket")
	wantAPIError(t, err, 40001, wechat.KindConfig)
	_, err = c.StartPushTicket(t.Context(), component)
	wantAPIError(t, err, 40001, wechat.KindConfig)
	// Elsewhere it is the token, and another one helps.
	_, _, err = c.PreAuthCode(t.Context(), componentToken, componentID)
	wantAPIError(t, err, 40001, wechat.KindToken)
	if !wechat.Void(err) {
		t.Error("a superseded token is not void")
	}
	w.say(`{"errcode":61006,"errmsg":"component ticket is invalid rid: 1"}`)
	_, err = c.ComponentToken(t.Context(), component, "ticket")
	wantAPIError(t, err, 61006, wechat.KindConfig)
}

func TestTokensWithoutALife(t *testing.T) {
	w, c := startWire(t, "")
	for _, life := range []string{``, `,"expires_in":null`, `,"expires_in":-1`, `,"expires_in":"soon"`} {
		w.say(`{"component_access_token":"T"` + life + `}`)
		if got, err := c.ComponentToken(t.Context(), component, "ticket"); err != nil || got != (wechat.ComponentToken{Token: "T"}) {
			t.Errorf("%s: %+v, %v", life, got, err)
		}
		w.say(`{"pre_auth_code":"p"` + life + `}`)
		if code, got, err := c.PreAuthCode(t.Context(), componentToken, componentID); err != nil || code != "p" || got != 0 {
			t.Errorf("%s: %q, %v, %v", life, code, got, err)
		}
	}
	w.say(`{"component_access_token":"T","expires_in":"7200"}`)
	if got, err := c.ComponentToken(t.Context(), component, "ticket"); err != nil || got.ExpiresIn != 2*time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestQueryAuthAnswers(t *testing.T) {
	w, c := startWire(t, "")
	for answer, want := range map[string]wechat.Grant{
		// No permission set with interfaces was granted.
		`{"authorization_info":{"authorizer_appid":"wx1"}}`:                                                             {AppID: "wx1"},
		`{"authorization_info":{"authorizer_appid":"wx1","func_info":null,"authorizer_refresh_token":null}}`:            {AppID: "wx1"},
		`{"authorization_info":{"authorizer_appid":"wx1","func_info":{},"expires_in":"7200"}}`:                          {AppID: "wx1", ExpiresIn: 2 * time.Hour},
		`{"errcode":0,"authorization_info":{"authorizer_appid":"wx_-1","func_info":[],"authorizer_access_token":"A"}}`:  {AppID: "wx_-1", AccessToken: "A"},
		`{"authorization_info":{"authorizer_appid":"wx1","authorizer_refresh_token":"r"},"authorizer_appid":"another"}`: {AppID: "wx1", RefreshToken: "r"},
		`{"authorization_info":{"authorizer_appid":"wx1","func_info":[{"funcscope_category":{"id":"1"}},7,"x",null,{},
			{"funcscope_category":null},{"funcscope_category":[2]},{"funcscope_category":{"id":null}},{"funcscope_category":{"id":4294967296}},
			{"funcscope_category":{"id":2.5}},{"funcscope_category":{"id":49,"type":0,"name":"x","desc":"y"}}]}}`: {AppID: "wx1", Functions: []int{1, 49}},
	} {
		w.say(answer)
		got, err := c.QueryAuth(t.Context(), componentToken, componentID, "code")
		if err != nil {
			t.Errorf("%s: %v", answer, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", answer, diff)
		}
	}
	// An appid becomes part of keys and paths.
	for _, appid := range []string{`""`, `null`, `"wx1/../x"`, `"wx 1"`, `"wx1\u0000"`, `"wx一"`, `{}`, `"` + strings.Repeat("w", 129) + `"`} {
		w.say(`{"authorization_info":{"authorizer_appid":` + appid + `,"authorizer_refresh_token":"refreshtoken"}}`)
		got, err := c.QueryAuth(t.Context(), componentToken, componentID, "code")
		wantUnavailable(t, err, 200)
		wantEmpty(t, got)
	}
	for code, kind := range map[string]wechat.Kind{
		"61009": wechat.KindCode, "61010": wechat.KindCode, "40001": wechat.KindToken, "-1": wechat.KindBusy, "45009": wechat.KindBusy,
	} {
		w.say(`{"errcode":` + code + `,"errmsg":"x"}`)
		_, err := c.QueryAuth(t.Context(), componentToken, componentID, "code")
		if class := kindOf(err); class != kind {
			t.Errorf("%s is %q, want %q", code, class, kind)
		}
	}
}

func TestAuthorizerTokenKeepsTheRefreshToken(t *testing.T) {
	w, c := startWire(t, "")
	for _, more := range []string{``, `,"authorizer_refresh_token":""`, `,"authorizer_refresh_token":null`, `,"authorizer_refresh_token":[]`} {
		w.say(`{"authorizer_access_token":"A","expires_in":"7200"` + more + `}`)
		got, err := c.AuthorizerToken(t.Context(), componentToken, componentID, authorizerID, refreshToken)
		if err != nil {
			t.Fatal(err)
		}
		want := wechat.Grant{AppID: authorizerID, AccessToken: "A", ExpiresIn: 2 * time.Hour, RefreshToken: refreshToken}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", more, diff)
		}
	}
	w.say(`{"authorizer_refresh_token":"refreshtoken"}`)
	got, err := c.AuthorizerToken(t.Context(), componentToken, componentID, authorizerID, refreshToken)
	wantUnavailable(t, err, 200)
	wantEmpty(t, got)
}

func TestAuthorizerInfoAnswers(t *testing.T) {
	w, c := startWire(t, "")
	bare := wechat.AuthorizerInfo{AppID: authorizerID, ServiceType: -1, VerifyType: -1}
	with := func(change func(*wechat.AuthorizerInfo)) wechat.AuthorizerInfo {
		a := bare
		change(&a)
		return a
	}
	for answer, want := range map[string]wechat.AuthorizerInfo{
		`{"authorizer_info":{}}`: bare,
		`{"authorizer_info":{"MiniProgramInfo":null,"business_info":"x","service_type_info":[],"account_status":"x"},"authorization_info":""}`: bare,
		`{"authorizer_info":{"MiniProgramInfo":[]}}`: bare, // an empty object by PHP
		`{"authorizer_info":{"MiniProgramInfo":{"network":{"RequestDomain":[]}},"service_type_info":{"id":"0"},"verify_type_info":{"id":-1}}}`: with(
			func(a *wechat.AuthorizerInfo) { a.MiniProgram, a.ServiceType = true, 0 }),
		`{"authorizer_info":{"service_type_info":2,"verify_type_info":"0","account_status":"16"}}`: with(
			func(a *wechat.AuthorizerInfo) { a.ServiceType, a.VerifyType, a.AccountStatus = 2, 0, 16 }),
		`{"authorizer_info":{"nick_name":"a\u0000b\nc","head_img":"javascript:x","qrcode_url":"/q","user_name":"gh_1 2","principal_name":null}}`: with(
			func(a *wechat.AuthorizerInfo) { a.Name = "abc" }),
		// Before the code of the grant was exchanged.
		`{"authorizer_info":{},"authorization_info":{"authorizer_appid":"` + authorizerID + `","authorizer_refresh_token":"","func_info":[{"funcscope_category":{"id":1}}]}}`: with(
			func(a *wechat.AuthorizerInfo) { a.Functions = []int{1} }),
		// Years ago.
		`{"authorizer_info":{},"authorization_info":{"appid":"` + authorizerID + `"}}`: bare,
	} {
		w.say(answer)
		got, err := c.AuthorizerInfo(t.Context(), componentToken, componentID, authorizerID)
		if err != nil {
			t.Errorf("%s: %v", answer, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", answer, diff)
		}
	}
	for _, answer := range []string{
		`{"authorizer_info":[]}`, `{"authorizer_info":null,"authorization_info":{}}`,
		`{"authorizer_info":{},"authorization_info":{"authorizer_appid":"wx0000000000000002","authorizer_refresh_token":"refreshtoken"}}`,
	} {
		w.say(answer)
		got, err := c.AuthorizerInfo(t.Context(), componentToken, componentID, authorizerID)
		wantUnavailable(t, err, 200)
		wantEmpty(t, got)
	}
}

// An account that is left out would pass for one that took its grant back.
func TestAuthorizerListIsReadInFullOrNot(t *testing.T) {
	w, c := startWire(t, "")
	for answer, want := range map[string]int{
		`{"total_count":0}`:           0,
		`{"total_count":0,"list":[]}`: 0,
		`{"total_count":"2","list":[{"authorizer_appid":"a","refresh_token":null,"auth_time":"x"},{"authorizer_appid":"b","auth_time":"1760000600"}]}`: 2,
		`{"total_count":7,"list":[]}`:               0,
		`{"errcode":0,"total_count":7,"list":null}`: 0,
	} {
		w.say(answer)
		_, list, err := c.AuthorizerList(t.Context(), componentToken, componentID, 0, 500)
		if err != nil || len(list) != want {
			t.Errorf("%s: %v, %v", answer, list, err)
		}
		if want == 2 && (!list[0].AuthTime.IsZero() || list[1].AuthTime.Unix() != 1760000600 || list[0].RefreshToken != "") {
			t.Errorf("%s: %+v", answer, list)
		}
	}
	for _, answer := range []string{
		`{"list":[]}`, `{"total_count":-1,"list":[]}`, `{"total_count":1}`, `{"total_count":1,"list":null}`, `{"total_count":1,"list":{}}`, `{"total_count":1,"list":["x"]}`,
		`{"total_count":2,"list":[{"authorizer_appid":"a"},{"appid":"refreshtoken"}]}`,
	} {
		w.say(answer)
		total, list, err := c.AuthorizerList(t.Context(), componentToken, componentID, 0, 500)
		wantUnavailable(t, err, 200)
		if total != 0 || list != nil {
			t.Errorf("%s: %d, %v", answer, total, list)
		}
	}
	w.say(`{"errcode":40170,"errmsg":"args count exceed count limit rid: 1"}`)
	_, _, err := c.AuthorizerList(t.Context(), componentToken, componentID, 0, 501)
	wantAPIError(t, err, 40170, wechat.KindUnknown)
}

func TestTemplateListsThatCannotBeRead(t *testing.T) {
	w, c := startWire(t, "")
	for answer, good := range map[string]bool{
		`{"errcode":0,"errmsg":"ok"}`:          true, // nothing there
		`{"template_list":{},"draft_list":{}}`: false,
		`{"template_list":[{"template_id":1},{}],"draft_list":[{"draft_id":1},{"draft_id":null}]}`: false,
	} {
		w.say(answer)
		templates, err := c.Templates(t.Context(), componentToken, -1)
		if (err == nil) != good || templates != nil {
			t.Errorf("%s: %v, %v", answer, templates, err)
		}
		drafts, err := c.Drafts(t.Context(), componentToken)
		if (err == nil) != good || drafts != nil {
			t.Errorf("%s: %v, %v", answer, drafts, err)
		}
	}
}

func TestRegistrationAnswers(t *testing.T) {
	w, c := startWire(t, "")
	const link = `"authorize_url":"https://mp.weixin.qq.com/x"`
	for answer, want := range map[string]wechat.RegistrationTask{
		`{` + link + `}`: {URL: "https://mp.weixin.qq.com/x", Status: -1},
		`{"taskid":12,"status":"3",` + link + `}`:                                   {TaskID: "12", URL: "https://mp.weixin.qq.com/x", Status: 3},
		`{"errcode":0,"a":[],"data":{"taskid":"t","status":1,` + link + `},"z":{}}`: {TaskID: "t", URL: "https://mp.weixin.qq.com/x", Status: 1},
		`{"errcode":0,"taskid":"t","authorize_url":" weixin://dl/business/?t=1 "}`:  {TaskID: "t", URL: "weixin://dl/business/?t=1", Status: -1},
	} {
		w.say(answer)
		if got, err := c.RegisterMiniProgram(t.Context(), componentToken, wechat.Registration{}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
	for _, link := range []string{`"javascript:alert(1)"`, `"//host/x"`, `"/x"`, `""`, `{}`, `"https://a\nb"`, `"https://` + strings.Repeat("x", 4096) + `"`} {
		w.say(`{"errcode":0,"errmsg":"ok","taskid":"t","status":0,"authorize_url":` + link + `}`)
		got, err := c.RegisterMiniProgram(t.Context(), componentToken, wechat.Registration{})
		wantUnavailable(t, err, 200)
		if got != (wechat.RegistrationTask{}) || !strings.Contains(err.Error(), "authorize_url") {
			t.Errorf("%s: %+v, %v", link, got, err)
		}
	}
}
