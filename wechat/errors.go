package wechat

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Kind groups WeChat's error codes by what one can do about them. Its text is
// also the class that Config.Observe gets.
type Kind string

const (
	// KindCode: the code is unknown, expired, used, or another app's. A new
	// login repairs it.
	KindCode Kind = "code"
	// KindToken: the token is void or does not fit the openid. A new login
	// repairs it.
	KindToken Kind = "token"
	// KindConfig: appid, secret, rights or allow-list of the account are wrong.
	// Only the operator can repair it; trying again cannot.
	KindConfig Kind = "config"
	// KindBusy: WeChat is overloaded or a quota is used up. Later.
	KindBusy Kind = "busy"
	// KindUser: WeChat refuses this person: blocked for risk, frozen, cancelled.
	KindUser Kind = "user"
	// KindUnknown: a code that this package has no opinion on.
	KindUnknown Kind = "unknown"
)

// kinds follows WeChat's list of common codes,
// https://developers.weixin.qq.com/doc/channels/API/basics/commErrCode.html,
// and what the SDKs in use make of them.
var kinds = map[int]Kind{
	40029: KindCode, // invalid code
	40163: KindCode, // code been used
	42003: KindCode, // code expired
	41008: KindCode, // missing code
	61009: KindCode, // invalid authorization code
	61010: KindCode, // authorization code used or expired

	40001: KindToken, // invalid credential; see APIError.Kind
	40003: KindToken, // invalid openid
	40014: KindToken, // invalid access_token
	40030: KindToken, // invalid refresh_token
	41001: KindToken, // missing access_token
	41003: KindToken, // missing refresh_token
	41009: KindToken, // missing openid
	42001: KindToken, // access_token expired
	42002: KindToken, // refresh_token expired
	42007: KindToken, // password changed, tokens void

	10003: KindConfig, // callback host not registered
	10004: KindConfig, // account banned
	10005: KindConfig, // account lacks the scope
	10006: KindConfig, // test account, which the person must follow first
	10015: KindConfig, // account has not authorised the third-party platform
	10016: KindConfig, // appid of another kind
	40002: KindConfig, // wrong grant_type
	40013: KindConfig, // invalid appid
	40125: KindConfig, // invalid appsecret
	40164: KindConfig, // address not on the allow-list
	40243: KindConfig, // secret frozen
	41002: KindConfig, // missing appid
	41018: KindConfig, // missing component_appid
	41004: KindConfig, // missing secret
	48001: KindConfig, // api unauthorized
	48004: KindConfig, // api forbidden
	61000: KindConfig, // not a third-party platform
	61001: KindConfig, // third-party platform of another kind
	61003: KindConfig, // account has not authorized the third-party platform
	61004: KindConfig, // address not registered
	61005: KindConfig, // component_verify_ticket expired: pushes do not arrive
	61006: KindConfig, // invalid component_verify_ticket
	61007: KindConfig, // permission set not granted
	61011: KindConfig, // invalid third-party platform
	61012: KindConfig, // unknown option
	61013: KindConfig, // invalid value of an option
	61014: KindConfig, // wants the platform's token
	61015: KindConfig, // wants the account's token
	61016: KindConfig, // permission set awaits its confirmation
	61017: KindConfig, // permission set not confirmed
	61023: KindConfig, // invalid authorizer_refresh_token: the account must authorize again
	61024: KindConfig, // a platform has no token of its own but component_access_token
	61025: KindConfig, // option can only be read
	61028: KindConfig, // third-party platform not released
	61029: KindConfig, // third-party platform must be released again
	89503: KindConfig, // call awaits the administrator's confirmation

	-1:    KindBusy, // system error
	10009: KindBusy, // too frequent
	45009: KindBusy, // daily quota
	45011: KindBusy, // minute quota

	40226: KindUser, // high-risk person
	50001: KindUser, // person unauthorized
	50002: KindUser, // person limited: frozen or cancelled
}

// APIError is a refusal by WeChat: an answer whose errcode is not 0. It holds
// neither secret nor code nor token.
type APIError struct {
	API     string // path without its first slash
	Code    int    // errcode; the only part to decide by
	Message string // errmsg as sent, at most 300 bytes; its wording varies
	RID     string // WeChat's id of the request, which their support asks for; may be empty
}

func (e *APIError) Error() string {
	return fmt.Sprintf("wechat: %s: errcode %d: %s", e.API, e.Code, e.Message)
}

// Kind says what can be done about the error.
func (e *APIError) Kind() Kind {
	if e.Code == 40001 && takesSecret[e.API] {
		// No token is at play here; the code's other meaning in WeChat's list is
		// left, a secret that is not this account's.
		return KindConfig
	}
	if k, found := kinds[e.Code]; found {
		return k
	}
	return KindUnknown
}

// takesSecret are the calls that send the secret instead of a token.
var takesSecret = map[string]bool{
	apiAccessToken: true, apiCode2Session: true, apiStableToken: true,
	apiComponentToken: true, apiStartPushTicket: true,
}

// maxMessage bounds the part of an errmsg that is kept.
const maxMessage = 300

// rid finds the id in its known forms: "…, rid: 8-8-8", "… hints: [ req_id: X ]"
// and "… hint: [X]".
var rid = regexp.MustCompile(`(?:\brid: ?|\bhints?: ?\[ ?(?:req_id: ?)?)([0-9A-Za-z_-]+)`)

func newAPIError(api string, code int, message string, s scrubber) *APIError {
	message = printable(s.text(message))
	e := &APIError{API: api, Code: code}
	if m := rid.FindStringSubmatch(message); m != nil {
		e.RID = m[1]
	}
	e.Message = strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
	return e
}

// UnavailableError says that WeChat gave no usable answer: no connection, no
// answer in time, a status other than 2xx, or a body that makes no sense. The
// call may have taken effect all the same.
type UnavailableError struct {
	API    string // path without its first slash
	Status int    // HTTP status, 0 if none came
	Err    error  // cause; its text names neither query nor secrets
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("wechat: %s: no usable answer: %v", e.API, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// ErrOtherPerson is the cause of an UnavailableError when a profile came for
// another openid than the one asked for.
var ErrOtherPerson = errors.New("answer is about another openid")

// class names the outcome of a call for Config.Observe.
func class(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[*APIError](err); ok {
		return string(e.Kind())
	}
	return "unavailable"
}

// scrubber hides a request's query and secrets in texts made by others: net/http
// repeats the URL, and a server may repeat anything.
type scrubber struct{ hidden *strings.Replacer }

func newScrubber(req request) scrubber {
	var pairs []string
	hide := func(value, mark string) {
		if value != "" { // which would be found between any two letters
			pairs = append(pairs, value, mark)
		}
	}
	hide(req.query.Encode(), "[query]")
	for _, name := range req.hide {
		value := req.query.Get(name)
		if s, found := req.body[name].(string); found {
			value = s
		}
		hide(value, "["+name+"]")
		hide(url.QueryEscape(value), "["+name+"]")
		if quoted, err := encode(value); err == nil {
			hide(string(quoted[1:len(quoted)-1]), "["+name+"]")
		}
	}
	return scrubber{strings.NewReplacer(pairs...)}
}

func (s scrubber) text(text string) string { return s.hidden.Replace(text) }

// error takes the URL off err. The chain below is kept, so that errors.Is still
// finds a cancelled context, unless its text shows what must stay hidden.
func (s scrubber) error(err error) error {
	for {
		e, ok := err.(*url.Error)
		if !ok {
			break
		}
		err = e.Err
	}
	if text := err.Error(); s.text(text) != text {
		return errors.New(s.text(text))
	}
	return err
}
