package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"wxgate/wechat"
	"wxgate/wechat/component"
)

// weChatRefusal says what a refusal by WeChat means to a caller who is no visitor,
// with what repairs it where that is known. WeChat's own words stay in the log: they
// are its to change, and may repeat what was sent.
func weChatRefusal(e *wechat.APIError) (*problem, string) {
	said := fmt.Sprintf("WeChat refused %s: errcode %d.", e.API, e.Code)
	r, known := repairs[e.Code]
	if !known {
		return wechatUnavailable, said
	}
	if e.Code == 40001 && e.Kind() == wechat.KindConfig {
		r = repairs[40125]
	}
	if r.withAddress {
		r.todo = fmt.Sprintf(r.todo, cmp.Or(addressIn(e.Message), "this machine's outgoing address"))
	}
	return r.problem, said + " " + r.todo
}

type repair struct {
	problem     *problem
	todo        string
	withAddress bool // todo has a place for the address that WeChat saw
}

// repairs are by errcode. A wrong request is the caller's to change, all else is
// not: it was understood and can be sent again.
var repairs = map[int]repair{
	-1:    {problem: wechatUnavailable, todo: "WeChat is busy; try again."},
	40001: {problem: wechatUnavailable, todo: "The token was void, and so was the next; is another system minting tokens for the same appid?"},
	40013: {problem: wechatMisconfigured, todo: "It does not know the appid: compare the AppID in the configuration with the console."},
	40125: {problem: wechatMisconfigured, todo: "The AppSecret is wrong: it may have been reset in the console."},
	40164: {problem: wechatMisconfigured, todo: "Add %s to the account's allow-list (IP白名单) in the console.", withAddress: true},
	45009: {problem: wechatMisconfigured, todo: "The quota of the day is used up."},
	45011: {problem: wechatUnavailable, todo: "Too many calls in a minute; try again later."},
	48001: {problem: wechatMisconfigured, todo: "The account does not have this interface, or did not grant its permission set."},
	61003: {problem: notFound, todo: "The account has not authorized this third-party platform, or not any more; POST /admin/component/links makes an invitation."},
	61004: {problem: wechatMisconfigured, todo: "Add %s to the platform's allow-list (白名单IP地址列表) in the console at open.weixin.qq.com.", withAddress: true},
	61005: {problem: wechatMisconfigured, todo: ticketRepair},
	61006: {problem: wechatMisconfigured, todo: ticketRepair},
	61007: {problem: wechatMisconfigured, todo: "The account did not grant the permission set of this interface: it has to authorize again, with that set."},
	61011: {problem: wechatMisconfigured, todo: "It does not know the third-party platform: compare WXGATE_COMPONENT_APP_ID with the console."},
	61012: {problem: badRequest, todo: "There is no such option."},
	61013: {problem: badRequest, todo: "The option does not take this value."},
	61023: {problem: wechatMisconfigured, todo: "The account's refresh token is void: POST /admin/component/sync, or let the account authorize again."},
	61025: {problem: badRequest, todo: "The option can only be read."},
	85064: {problem: notFound, todo: "There is no such draft or template."},
	85065: {problem: badRequest, todo: "The template library is full (200): delete templates first."},
	86004: {problem: badRequest, todo: "There is no such WeChat id."},
	89247: {problem: wechatUnavailable, todo: "WeChat has an inner fault; try again later."},
	89248: {problem: badRequest, todo: "The kind of the company's code is wrong; only unified social credit codes of 18 characters are taken."},
	89249: {problem: badRequest, todo: "A registration of this company is under way; try again when it is over, after 24 hours at the latest."},
	89250: {problem: notFound, todo: "There is no such registration."},
	89251: {problem: badRequest, todo: "The registration waits for the legal person, who has to confirm at its authorize_url."},
	89252: {problem: badRequest, todo: "WeChat is checking the company's data; its push tells the outcome."},
	89253: {problem: badRequest, todo: "Something is missing that WeChat wants to know."},
	89254: {problem: wechatMisconfigured, todo: "The platform lacks permission sets that registration needs: add them in the console and release the platform again."},
	89255: {problem: badRequest, todo: "The company's code is wrong in length or content."},
}

const ticketRepair = "The verify ticket is void: check that WeChat's pushes arrive at /.wxgate/component/events; GET /admin/component tells the ticket's age."

// platformProblem is what the platform's own errors look like to such a caller.
func platformProblem(err error) (*problem, string) {
	var weChat *wechat.APIError
	said := ""
	if errors.As(err, &weChat) {
		said = fmt.Sprintf(" WeChat refused %s: errcode %d.", weChat.API, weChat.Code)
	}
	switch {
	case errors.Is(err, component.ErrNoTicket):
		return wechatMisconfigured, "There is no valid verify ticket, without which nothing can be asked of WeChat: check that its pushes arrive at /.wxgate/component/events; GET /admin/component tells the ticket's age." + said
	case errors.Is(err, component.ErrNotAuthorized):
		return notFound, "The account has not authorized this third-party platform, or not any more." + said
	case errors.Is(err, component.ErrVoidAtOnce):
		return wechatUnavailable, "WeChat calls a token void that replaced a void one less than a minute ago: another system mints tokens for this platform, which belongs to one environment." + said
	case errors.Is(err, component.ErrNoGrant):
		return wechatMisconfigured, "The account is authorized, but its refresh token is not known: POST /admin/component/sync, or let the account authorize again." + said
	}
	return nil, ""
}

// maybeAddress finds what could be an IP address in a text of WeChat's, such as
// "access clientip is not registered requestIP: 203.0.113.7".
var maybeAddress = regexp.MustCompile(`[0-9a-fA-F:.]*[0-9a-fA-F]`)

func addressIn(text string) string {
	for _, word := range maybeAddress.FindAllString(text, -1) {
		if a, err := netip.ParseAddr(word); err == nil {
			return a.Unmap().String()
		}
	}
	return ""
}
