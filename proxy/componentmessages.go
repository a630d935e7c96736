package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"wxgate/wechat"
	"wxgate/wechat/component"
)

// message takes a push to the message-and-event URL, which names the account in
// its path ($APPID$ in the console).
func (t *thirdParty) message(v *visit, appID string) {
	b := &inbox{pushPort: t.pushPort, appID: appID, app: t.app}
	arrived := t.s.now()
	e, m, ok := t.open(v)
	switch {
	case !ok:
	case m.MsgType == "" && m.Field("InfoType") != "":
		// Developers report events of the platform at either URL. It is signed
		// alike, and nothing in it depends on the path.
		t.heed(v, m)
	case isReleaseTest(appID, m):
		t.releaseTest(v, appID, e, m)
	case t.concerns(v, b, m):
		b.take(v, arrived, e, m)
	}
}

// concerns reports that a message is for the account in the path, which no
// signature covers: whoever has seen a push could else have it delivered as one
// for another account. If it is not, the request is answered.
func (t *thirdParty) concerns(v *visit, b *inbox, m wechat.Message) bool {
	ctx, cancel := context.WithTimeout(v.r.Context(), heedLimit)
	defer cancel()
	// One that authorized a moment ago may not be described yet.
	a, known, err := t.platform.Describe(ctx, b.appID)
	switch {
	case err != nil && !known: // the store's; WeChat's leaves what was known
		t.s.fail(v, storeUnavailable, err)
	case !known || a.UserName == "" && (a.Status == component.StatusUnauthorized || a.DescribedAt != nil):
		t.s.log.LogAttrs(v.r.Context(), slog.LevelWarn, "a message for an account that this platform does not know; it is not forwarded",
			slog.String("id", v.id), slog.String("appid", b.appID))
		t.acknowledge(v)
	case a.UserName == "":
		// WeChat delivers the message again, and a person waits a few seconds
		// rather than for nothing.
		t.s.fail(v, wechatUnavailable, errors.New("it is not known yet which account has this appid"))
	case a.UserName != m.ToUserName:
		t.refuse(v, fmt.Errorf("%w: it is for another account than the one in its path", wechat.ErrPush))
	default:
		if a.Status == component.StatusUnauthorized {
			// What is known of its users still follows WeChat's word; the app has
			// no business with it any more.
			b.app = nil
		}
		return true
	}
	return false
}
