package wechat_test

import (
	"context"
	"encoding/json"
	"time"

	"wxgate/wechat"
)

// componentCalls are all calls of a third-party platform: exactly what goes over
// the wire, and what is made of a good answer.
var componentCalls = []struct {
	name   string
	do     func(ctx context.Context, c *wechat.Client) (any, error)
	want   sent
	answer string
	result any
}{
	{
		name: "ComponentToken",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.ComponentToken(ctx, component, "ticket@@@sim-0001")
		},
		want: sent{"POST", "/cgi-bin/component/api_component_token", "",
			`{"component_appid":"` + componentID + `","component_appsecret":"` + componentSecret + `","component_verify_ticket":"ticket@@@sim-0001"}`},
		answer: `{"component_access_token":"61W3mEpU","expires_in":7200}`,
		result: wechat.ComponentToken{Token: "61W3mEpU", ExpiresIn: 2 * time.Hour},
	},
	{
		name: "StartPushTicket",
		do:   func(ctx context.Context, c *wechat.Client) (any, error) { return c.StartPushTicket(ctx, component) },
		want: sent{"POST", "/cgi-bin/component/api_start_push_ticket", "",
			`{"component_appid":"` + componentID + `","component_secret":"` + componentSecret + `"}`},
		answer: `{"errcode":0,"errmsg":"ok"}`,
		result: false,
	},
	{
		name: "PreAuthCode",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			code, life, err := c.PreAuthCode(ctx, componentToken, componentID)
			return preAuth{code, life}, err
		},
		want: sent{"POST", "/cgi-bin/component/api_create_preauthcode", "access_token=57_Tok-en%40%40%40cat",
			`{"component_appid":"` + componentID + `"}`},
		answer: `{"pre_auth_code":"preauthcode@@@sim-0001","expires_in":1800}`,
		result: preAuth{"preauthcode@@@sim-0001", 30 * time.Minute},
	},
	{
		name: "QueryAuth",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.QueryAuth(ctx, componentToken, componentID, "queryauthcode@@@sim<0001>&")
		},
		want: sent{"POST", "/cgi-bin/component/api_query_auth", "access_token=57_Tok-en%40%40%40cat",
			`{"authorization_code":"queryauthcode@@@sim<0001>&","component_appid":"` + componentID + `"}`},
		answer: `{"authorization_info":{"authorizer_appid":"` + authorizerID + `","authorizer_access_token":"AAT","expires_in":7200,
			"authorizer_refresh_token":"` + refreshToken + `","func_info":[{"funcscope_category":{"id":1,"type":0,"name":"消息管理"}},
			{"funcscope_category":{"id":17},"confirm_info":{"need_confirm":0,"already_confirm":0,"can_confirm":0}}]}}`,
		result: wechat.Grant{AppID: authorizerID, AccessToken: "AAT", ExpiresIn: 2 * time.Hour, RefreshToken: refreshToken, Functions: []int{1, 17}},
	},
	{
		name: "AuthorizerToken",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.AuthorizerToken(ctx, componentToken, componentID, authorizerID, refreshToken)
		},
		want: sent{"POST", "/cgi-bin/component/api_authorizer_token", "access_token=57_Tok-en%40%40%40cat",
			`{"authorizer_appid":"` + authorizerID + `","authorizer_refresh_token":"` + refreshToken + `","component_appid":"` + componentID + `"}`},
		answer: `{"authorizer_access_token":"AAT2","expires_in":7200,"authorizer_refresh_token":"refreshtoken@@@new"}`,
		result: wechat.Grant{AppID: authorizerID, AccessToken: "AAT2", ExpiresIn: 2 * time.Hour, RefreshToken: "refreshtoken@@@new"},
	},
	{
		name: "AuthorizerInfo",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.AuthorizerInfo(ctx, componentToken, componentID, authorizerID)
		},
		want: sent{"POST", "/cgi-bin/component/api_get_authorizer_info", "access_token=57_Tok-en%40%40%40cat",
			`{"authorizer_appid":"` + authorizerID + `","component_appid":"` + componentID + `"}`},
		answer: `{"authorizer_info":{"nick_name":"贝壳书店","head_img":"http://wx.qlogo.cn/mmopen/x/0","service_type_info":{"id":2,"name":"服务号"},
			"verify_type_info":{"id":0},"user_name":"gh_eb5e3a772040","alias":"shells","qrcode_url":"http://mmbiz.qpic.cn/q","principal_name":"贝壳有限公司",
			"business_info":{"open_pay":1,"open_scan":"0"},"idc":1,"account_status":1,"basic_config":{"is_phone_configured":true}},
			"authorization_info":{"authorizer_appid":"` + authorizerID + `","authorizer_refresh_token":"` + refreshToken + `",
			"func_info":[{"funcscope_category":{"id":3}}]}}`,
		result: wechat.AuthorizerInfo{
			AppID: authorizerID, Name: "贝壳书店", UserName: "gh_eb5e3a772040", Alias: "shells", Avatar: "http://wx.qlogo.cn/mmopen/x/0",
			QRCode: "http://mmbiz.qpic.cn/q", Principal: "贝壳有限公司", ServiceType: 2, AccountStatus: 1, RefreshToken: refreshToken, Functions: []int{3},
		},
	},
	{
		name: "AuthorizerList",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			total, list, err := c.AuthorizerList(ctx, componentToken, componentID, 500, wechat.MaxAuthorizers)
			return listed{total, list}, err
		},
		want: sent{"POST", "/cgi-bin/component/api_get_authorizer_list", "access_token=57_Tok-en%40%40%40cat",
			`{"component_appid":"` + componentID + `","count":500,"offset":500}`},
		answer: `{"total_count":502,"list":[{"authorizer_appid":"` + authorizerID + `","refresh_token":"` + refreshToken + `","auth_time":1760000600},
			{"authorizer_appid":"wx0000000000000002"}]}`,
		result: listed{502, []wechat.ListedAuthorizer{
			{AppID: authorizerID, RefreshToken: refreshToken, AuthTime: time.Unix(1760000600, 0)},
			{AppID: "wx0000000000000002"},
		}},
	},
	{
		name: "AuthorizerOption",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.AuthorizerOption(ctx, componentToken, componentID, authorizerID, "voice_recognize")
		},
		want: sent{"POST", "/cgi-bin/component/get_authorizer_option", "access_token=57_Tok-en%40%40%40cat",
			`{"authorizer_appid":"` + authorizerID + `","component_appid":"` + componentID + `","option_name":"voice_recognize"}`},
		answer: `{"authorizer_appid":"` + authorizerID + `","option_name":"voice_recognize","option_value":"1"}`,
		result: "1",
	},
	{
		name: "SetAuthorizerOption",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return nothing(c.SetAuthorizerOption(ctx, componentToken, componentID, authorizerID, "voice_recognize", "0"))
		},
		want: sent{"POST", "/cgi-bin/component/set_authorizer_option", "access_token=57_Tok-en%40%40%40cat",
			`{"authorizer_appid":"` + authorizerID + `","component_appid":"` + componentID + `","option_name":"voice_recognize","option_value":"0"}`},
		answer: `{"errcode":0,"errmsg":"ok"}`,
	},
	{
		name: "Templates of one kind",
		do:   func(ctx context.Context, c *wechat.Client) (any, error) { return c.Templates(ctx, componentToken, 0) },
		want: sent{"GET", "/wxa/gettemplatelist", "access_token=57_Tok-en%40%40%40cat&template_type=0", ""},
		answer: `{"errcode":0,"errmsg":"ok","template_list":[{"create_time":1488965944,"user_version":"V1","user_desc":"书店","template_id":47,"draft_id":4,
			"source_miniprogram_appid":"wx5","source_miniprogram":"源","developer":"小王","template_type":1,"category_list":[{"first_id":1}],"audit_status":0,"reason":"无"}]}`,
		result: []wechat.Template{{
			ID: 47, DraftID: 4, CreateTime: 1488965944, Version: "V1", Description: "书店", SourceAppID: "wx5", SourceName: "源", Developer: "小王", Kind: 1,
			Categories: json.RawMessage(`[{"first_id":1}]`), AuditStatus: json.RawMessage(`0`), Reason: "无",
		}},
	},
	{
		name:   "Templates",
		do:     func(ctx context.Context, c *wechat.Client) (any, error) { return c.Templates(ctx, componentToken, -1) },
		want:   sent{"GET", "/wxa/gettemplatelist", "access_token=57_Tok-en%40%40%40cat", ""},
		answer: `{"errcode":0,"template_list":[]}`,
		result: []wechat.Template(nil),
	},
	{
		name: "Drafts",
		do:   func(ctx context.Context, c *wechat.Client) (any, error) { return c.Drafts(ctx, componentToken) },
		want: sent{"GET", "/wxa/gettemplatedraftlist", "access_token=57_Tok-en%40%40%40cat", ""},
		answer: `{"errcode":0,"errmsg":"ok","draft_list":[{"create_time":1488965944,"user_version":"VVV","user_desc":"AAS","draft_id":0},
			{"create_time":"1504790906","user_version":11,"draft_id":"4","source_miniprogram_appid":"wx5","source_miniprogram":"源","developer":"小王"}]}`,
		result: []wechat.Draft{
			{CreateTime: 1488965944, Version: "VVV", Description: "AAS"},
			{ID: 4, CreateTime: 1504790906, Version: "11", SourceAppID: "wx5", SourceName: "源", Developer: "小王"},
		},
	},
	{
		name: "AddTemplate",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return nothing(c.AddTemplate(ctx, componentToken, 4, 1))
		},
		want:   sent{"POST", "/wxa/addtotemplate", "access_token=57_Tok-en%40%40%40cat", `{"draft_id":4,"template_type":1}`},
		answer: `{"errcode":0,"errmsg":"ok"}`,
	},
	{
		name: "AddTemplate of WeChat's choice",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return nothing(c.AddTemplate(ctx, componentToken, 0, -1))
		},
		want:   sent{"POST", "/wxa/addtotemplate", "access_token=57_Tok-en%40%40%40cat", `{"draft_id":0}`},
		answer: `{"errcode":0,"errmsg":"ok"}`,
	},
	{
		name: "DeleteTemplate",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return nothing(c.DeleteTemplate(ctx, componentToken, 47))
		},
		want:   sent{"POST", "/wxa/deletetemplate", "access_token=57_Tok-en%40%40%40cat", `{"template_id":47}`},
		answer: `{"errcode":0,"errmsg":"ok"}`,
	},
	{
		name: "RegisterMiniProgram",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.RegisterMiniProgram(ctx, componentToken, wechat.Registration{Name: "A&B <贝壳> 有限公司", Code: "91440300MA5EXAMPLE", Phone: "13800000000"})
		},
		want: sent{"POST", "/wxa/component/fastregisterenterpriseweapp", "access_token=57_Tok-en%40%40%40cat&action=create",
			`{"code":"91440300MA5EXAMPLE","component_phone":"13800000000","name":"A&B <贝壳> 有限公司","new_version":true}`},
		answer: `{"errcode":0,"errmsg":"ok","taskid":"t-1","authorize_url":"https://mp.weixin.qq.com/wxopen/x?a=1&b=2","status":0}`,
		result: wechat.RegistrationTask{TaskID: "t-1", URL: "https://mp.weixin.qq.com/wxopen/x?a=1&b=2"},
	},
	{
		name: "ExchangeOnBehalf",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.ExchangeOnBehalf(ctx, behalf, "code@@@+/1")
		},
		want: sent{"GET", "/sns/oauth2/component/access_token", "appid=" + authorizerID + "&code=code%40%40%40%2B%2F1&component_access_token=57_Tok-en%40%40%40cat" +
			"&component_appid=" + componentID + "&grant_type=authorization_code", ""},
		answer: `{"access_token":"A","expires_in":7200,"refresh_token":"R","openid":"oX","scope":"snsapi_base","is_snapshotuser":1,"unionid":"u"}`,
		result: wechat.Token{AccessToken: "A", RefreshToken: "R", OpenID: "oX", UnionID: "u", Scope: "snsapi_base", ExpiresIn: 2 * time.Hour, Snapshot: true},
	},
	{
		name: "RefreshOnBehalf",
		do:   func(ctx context.Context, c *wechat.Client) (any, error) { return c.RefreshOnBehalf(ctx, behalf, "R@") },
		want: sent{"GET", "/sns/oauth2/component/refresh_token", "appid=" + authorizerID + "&component_access_token=57_Tok-en%40%40%40cat" +
			"&component_appid=" + componentID + "&grant_type=refresh_token&refresh_token=R%40", ""},
		answer: `{"access_token":"A","expires_in":"7200","openid":"oX","scope":"snsapi_userinfo"}`,
		result: wechat.Token{AccessToken: "A", RefreshToken: "R@", OpenID: "oX", Scope: "snsapi_userinfo", ExpiresIn: 2 * time.Hour},
	},
	{
		name: "Code2SessionOnBehalf",
		do: func(ctx context.Context, c *wechat.Client) (any, error) {
			return c.Code2SessionOnBehalf(ctx, behalf, "js@1")
		},
		want: sent{"GET", "/sns/component/jscode2session", "appid=" + authorizerID + "&component_access_token=57_Tok-en%40%40%40cat" +
			"&component_appid=" + componentID + "&grant_type=authorization_code&js_code=js%401", ""},
		answer: `{"openid":"oX","session_key":"planted","unionid":"u"}`,
		result: wechat.Session{OpenID: "oX", UnionID: "u"},
	},
}
