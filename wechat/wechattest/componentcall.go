package wechattest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// Paths of the interfaces of third-party platforms.
const (
	ComponentTokenPath        = "/cgi-bin/component/api_component_token"
	StartPushTicketPath       = "/cgi-bin/component/api_start_push_ticket"
	ComponentClearQuotaPath   = "/cgi-bin/component/clear_quota/v2"
	PreAuthCodePath           = "/cgi-bin/component/api_create_preauthcode"
	QueryAuthPath             = "/cgi-bin/component/api_query_auth"
	AuthorizerTokenPath       = "/cgi-bin/component/api_authorizer_token"
	AuthorizerInfoPath        = "/cgi-bin/component/api_get_authorizer_info"
	AuthorizerListPath        = "/cgi-bin/component/api_get_authorizer_list"
	AuthorizerOptionPath      = "/cgi-bin/component/get_authorizer_option"
	SetAuthorizerOptionPath   = "/cgi-bin/component/set_authorizer_option"
	FastRegisterPath          = "/cgi-bin/component/fastregisterweapp"
	RegisterEnterprisePath    = "/wxa/component/fastregisterenterpriseweapp"
	DraftListPath             = "/wxa/gettemplatedraftlist"
	TemplateListPath          = "/wxa/gettemplatelist"
	AddTemplatePath           = "/wxa/addtotemplate"
	DeleteTemplatePath        = "/wxa/deletetemplate"
	ComponentAccessTokenPath  = "/sns/oauth2/component/access_token"
	ComponentRefreshTokenPath = "/sns/oauth2/component/refresh_token"
	ComponentCode2SessionPath = "/sns/component/jscode2session"

	// The names of the option calls on WeChat's older pages.
	oldOptionPath    = "/cgi-bin/component/api_get_authorizer_option"
	oldSetOptionPath = "/cgi-bin/component/api_set_authorizer_option"
)

var componentAPIs = map[string]endpoint{
	ComponentTokenPath:        {http.MethodPost, (*call).componentToken},
	StartPushTicketPath:       {http.MethodPost, (*call).startPushTicket},
	ComponentClearQuotaPath:   {http.MethodPost, (*call).clearComponentQuota},
	PreAuthCodePath:           {http.MethodPost, (*call).createPreAuthCode},
	QueryAuthPath:             {http.MethodPost, (*call).queryAuth},
	AuthorizerTokenPath:       {http.MethodPost, (*call).authorizerToken},
	AuthorizerInfoPath:        {http.MethodPost, (*call).authorizerInfo},
	AuthorizerListPath:        {http.MethodPost, (*call).authorizerList},
	AuthorizerOptionPath:      {http.MethodPost, (*call).getOption},
	SetAuthorizerOptionPath:   {http.MethodPost, (*call).setOption},
	oldOptionPath:             {http.MethodPost, (*call).getOption},
	oldSetOptionPath:          {http.MethodPost, (*call).setOption},
	FastRegisterPath:          {http.MethodPost, (*call).fastRegister},
	RegisterEnterprisePath:    {http.MethodPost, (*call).registerEnterprise},
	DraftListPath:             {http.MethodGet, (*call).draftList},
	TemplateListPath:          {http.MethodGet, (*call).templateList},
	AddTemplatePath:           {http.MethodPost, (*call).addTemplate},
	DeleteTemplatePath:        {http.MethodPost, (*call).deleteTemplate},
	ComponentAccessTokenPath:  {http.MethodGet, (*call).componentAccessToken},
	ComponentRefreshTokenPath: {http.MethodGet, (*call).componentRefreshToken},
	ComponentCode2SessionPath: {http.MethodGet, (*call).componentCode2Session},
}

// componentMessages are the error texts of these interfaces.
var componentMessages = map[int]string{
	40170: "args count exceed count limit",
	41018: "missing component_appid",
	48006: "forbid to clear quota because of reaching the limit",
	61003: "component is not authorized by this account",
	61004: "access clientip is not registered",
	61005: "component ticket is expired",
	61006: "component ticket is invalid",
	61007: "api is unauthorized to component",
	61009: "code is invalid",
	61010: "code is expired",
	61011: "invalid component",
	61012: "invalid option name",
	61013: "invalid option value",
	61014: "must use component token for component api",
	61015: "must use biz account token for not component api",
	61023: "refresh_token is invalid",
	85064: "template not found",
	85065: "template list is full",
	89249: "task running",
	89253: "lack of some params",
	89255: "enterprise code error",
}

// componentRequest is the body of all calls under /cgi-bin/component.
type componentRequest struct {
	ComponentAppID     string `json:"component_appid"`
	ComponentAppSecret string `json:"component_appsecret"`
	ComponentSecret    string `json:"component_secret"` // the same, for one call
	AppSecret          string `json:"appsecret"`        // and for one more
	Ticket             string `json:"component_verify_ticket"`
	AuthorizationCode  string `json:"authorization_code"`
	AppID              string `json:"appid"`
	AuthorizerAppID    string `json:"authorizer_appid"`
	RefreshToken       string `json:"authorizer_refresh_token"`
	OptionName         string `json:"option_name"`
	OptionValue        string `json:"option_value"`
	Offset             int    `json:"offset"`
	Count              int    `json:"count"`
}

// decode reads the body of the call.
func (c *call) decode(in any) (answer, bool) {
	switch {
	case len(c.body) == 0:
		return refuse(44002), false
	case json.Unmarshal(c.body, in) != nil:
		return refuse(47001), false
	}
	return answer{}, true
}

// bearer finds the platform whose token came under one of these names in the
// query. An account's token is answered with wrong.
func (c *call) bearer(wrong int, names ...string) (*component, answer, bool) {
	value := ""
	for _, name := range names {
		value = cmp.Or(value, c.query.Get(name))
	}
	t := c.s.server[value]
	switch {
	case value == "":
		return nil, refuse(41001), false
	case t == nil, !t.void.IsZero() && !c.now.Before(t.void):
		return nil, refuse(40001), false
	case !c.now.Before(t.expires):
		return nil, refuse(42001), false
	case t.app != "":
		return nil, refuse(wrong), false
	}
	c.entry.AppID = t.component
	return c.s.components[t.component], answer{}, true
}

// platform checks the token and the body of a call under /cgi-bin/component. Old
// and new pages name the token in two ways.
func (c *call) platform() (p *component, in componentRequest, a answer, ok bool) {
	if p, a, ok = c.bearer(61014, "access_token", "component_access_token"); !ok {
		return nil, in, a, false
	}
	if a, ok = c.decode(&in); !ok {
		return nil, in, a, false
	}
	if a, ok = c.matches(p, in.ComponentAppID); !ok {
		return nil, in, a, false
	}
	return p, in, answer{}, true
}

// matches compares the component_appid of a call with that of its token.
func (c *call) matches(p *component, id string) (answer, bool) {
	switch id {
	case p.ID:
		return answer{}, true
	case "":
		return refuse(41018), false
	}
	return refuse(cmp.Or(c.b.MismatchErrcode, 61011)), false
}

// secret checks a call that the platform makes with its secret.
func (c *call) secret(id, secret string) (*component, answer, bool) {
	p := c.s.components[id]
	_, account := c.s.apps[id]
	switch {
	case id == "":
		return nil, refuse(41018), false
	case p == nil && account:
		return nil, refuse(61011), false
	case p == nil:
		return nil, refuse(40013), false
	case secret == "":
		return nil, refuse(41004), false
	case secret != p.Secret:
		return nil, refuse(40125), false
	}
	c.entry.AppID = p.ID
	return p, answer{}, true
}

// componentToken gives a new token for a ticket and lets the previous one live for
// five minutes more:
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getcomponentaccesstoken
func (c *call) componentToken() answer {
	var in componentRequest
	if a, ok := c.decode(&in); !ok {
		return a
	}
	p, a, ok := c.secret(in.ComponentAppID, in.ComponentAppSecret)
	if !ok {
		return a
	}
	if c.exceeds(ComponentTokenPath+p.ID, day, cmp.Or(c.b.ComponentTokenPerDay, 10_000)) {
		return refuse(45009)
	}
	if errcode := p.judge(in.Ticket, c.now); errcode != 0 {
		return refuse(errcode)
	}
	if p.current != nil {
		p.current.void = c.now.Add(overlap)
	}
	p.current = c.newServerToken("")
	p.current.component = p.ID
	p.mints++
	return answer{fields: []field{
		{"component_access_token", p.current.value},
		{"expires_in", int(tokenLife / time.Second)},
	}}
}

// startPushTicket starts the ticket service again, and tells by its errmsg whether
// that was needed. Where RunTickets runs, one comes at once in either case.
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_startpushticket.html
func (c *call) startPushTicket() answer {
	var in componentRequest
	if a, ok := c.decode(&in); !ok {
		return a
	}
	p, a, ok := c.secret(in.ComponentAppID, in.ComponentSecret)
	if !ok {
		return a
	}
	text := "in a normal state"
	if p.stopped {
		text, p.stopped, p.failed = "ok", false, 0
	}
	p.asked = true
	return answer{fields: []field{{"errcode", 0}, {"errmsg", text}}}
}

const clearsPerMonth = 10

// clearComponentQuota begins the day of a platform's own calls anew, ten times a
// month. With the appid of an account it is accepted and clears nothing, as no
// quota of accounts is kept by platform.
// https://developers.weixin.qq.com/doc/oplatform/openApi/openapi/api_componentclearquota_v2.html
func (c *call) clearComponentQuota() answer {
	var in componentRequest
	if a, ok := c.decode(&in); !ok {
		return a
	}
	p, a, ok := c.secret(in.ComponentAppID, in.AppSecret)
	if !ok {
		return a
	}
	account := cmp.Or(in.AppID, p.ID)
	if account != p.ID && p.authorization(account) == nil {
		return refuse(61003)
	}
	p.clears = slices.DeleteFunc(p.clears, func(at time.Time) bool { return at.Format("2006-01") != c.now.Format("2006-01") })
	if len(p.clears) >= clearsPerMonth {
		return refuse(48006)
	}
	p.clears = append(p.clears, c.now)
	if account == p.ID {
		delete(c.s.counters, ComponentTokenPath+p.ID)
	}
	return done
}

var done = answer{fields: []field{{"errcode", 0}, {"errmsg", "ok"}}}
