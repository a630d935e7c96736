package proxy

import (
	"context"
	"net/http"
	"strings"

	"wxgate/wechat"
	"wxgate/wechat/component"
)

// thirdParty is what a third-party platform shows to the outside:
//
//	component/events            what WeChat tells the platform
//	component/messages/{appid}  what people write to an account that authorized it
//	component/authorize         an account's administrator begins an authorization
//	component/callback          … and comes back
//
// What any of it means for the platform is for [component.Platform] to keep. The
// first two are signed and always encrypted: one key is for them and all accounts.
type thirdParty struct {
	pushPort
	platform *component.Platform
	app      *messageApp // nil: the app wants no messages
}

func newThirdParty(s *Server, app *messageApp) *thirdParty {
	return &thirdParty{
		pushPort: pushPort{s: s, push: s.cfg.ComponentPush, readLimit: pushReadLimit},
		platform: s.cfg.Component, app: app,
	}
}

const (
	authorizePath = prefix + "component/authorize"
	returnPath    = prefix + "component/callback"
)

// serve answers everything under component/; name is what follows it.
func (t *thirdParty) serve(v *visit, name string) {
	appID, message := strings.CutPrefix(name, "messages/")
	switch {
	case name == "events":
		t.pushPort.serve(v, t.event)
	case message && component.ValidAppID(appID):
		t.pushPort.serve(v, func(v *visit) { t.message(v, appID) })
	case name == "authorize":
		t.browse(v, authorizePath, t.authorize)
	case name == "callback":
		t.browse(v, returnPath, t.returned)
	default:
		t.s.fail(v, notFound, nil)
	}
}

// event takes a push to the authorization-event URL.
func (t *thirdParty) event(v *visit) {
	if _, m, ok := t.open(v); ok {
		t.heed(v, m)
	}
}

// heed acknowledges what WeChat tells the platform when it is in the store and not
// before: nothing of it can be asked for again.
func (t *thirdParty) heed(v *visit, m wechat.Message) {
	// It is carried through even if WeChat hangs up meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), heedLimit)
	defer cancel()
	if err := t.platform.Receive(ctx, m); err != nil {
		t.refuse(v, err)
		return
	}
	t.acknowledge(v)
}

// browse serves what browsers come to. It is on the public host only: WeChat wants
// the page that it is entered from and the one that it comes back to on the launch
// domain (授权发起页域名). Looking with HEAD would use up links and codes.
func (t *thirdParty) browse(v *visit, path string, serve func(*visit)) {
	noStore(v.Header())
	switch {
	case v.r.Method != http.MethodGet:
		v.Header().Set("Allow", http.MethodGet)
		t.s.fail(v, methodNotAllowed, nil)
	case v.host != t.s.hosts.public:
		if v.r.URL.RawQuery != "" {
			path += "?" + v.r.URL.RawQuery
		}
		t.s.redirect(v, http.StatusFound, t.s.location(t.s.hosts.public, path))
	case t.s.withinRate(v):
		serve(v)
	}
}
