package wechattest

import "cmp"

// authorizerInfo describes an account. No access token is in it, and the refresh
// token is empty as long as nobody exchanged the grant's code:
// https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizerinfo
func (c *call) authorizerInfo() answer {
	p, in, a, ok := c.platform()
	if !ok {
		return a
	}
	granted, a, ok := c.granted(p, in.AuthorizerAppID)
	if !ok {
		return a
	}
	refresh := ""
	if granted.exchanged {
		refresh = granted.refresh
	}
	return answer{fields: []field{
		{"authorizer_info", c.describe(c.s.apps[granted.appid])},
		{"authorization_info", object{
			{"authorizer_appid", granted.appid},
			{"authorizer_refresh_token", refresh},
			{"func_info", functionList(granted.functions)},
		}},
	}}
}

func (c *call) describe(app App) object {
	kind := object{{"id", 2}, {"name", "服务号"}}
	if app.Kind == MiniProgram {
		kind = object{{"id", 0}, {"name", "普通小程序"}}
	}
	picture := "https://wx.qlogo.cn/mmopen/" + identifier("head image", app.ID) + "/0"
	if c.s.publicURL != "" {
		picture = c.s.publicURL + avatarPath(app.UserName)
	}
	info := object{
		{"nick_name", app.Name},
		{"head_img", picture},
		{"service_type_info", kind},
		{"verify_type_info", object{{"id", 0}, {"name", "微信认证"}}},
		{"user_name", app.UserName},
		{"alias", ""},
		{"qrcode_url", "https://mmbiz.qpic.cn/mmbiz_jpg/" + identifier("qr code", app.ID) + "/0"},
		{"business_info", object{{"open_pay", 0}, {"open_shake", 0}, {"open_scan", 0}, {"open_card", 0}, {"open_store", 0}}},
		{"idc", 1},
		{"principal_name", cmp.Or(app.Principal, app.Name)},
		{"signature", ""},
	}
	if app.Kind == MiniProgram {
		domains := []string{}
		for _, d := range app.JSDomains {
			domains = append(domains, "https://"+d)
		}
		info = append(info, field{"MiniProgramInfo", object{
			{"network", object{
				{"RequestDomain", domains}, {"WsRequestDomain", []string{}}, {"UploadDomain", []string{}},
				{"DownloadDomain", []string{}}, {"UDPDomain", []string{}}, {"TCPDomain", []string{}},
			}},
			{"categories", list{object{{"first", "游戏"}, {"second", "休闲游戏"}}}},
			{"visit_status", 0},
		}})
	}
	return append(info,
		field{"register_type", 0},
		field{"account_status", 1},
		field{"basic_config", object{{"is_phone_configured", 1}, {"is_email_configured", 1}}},
	)
}
