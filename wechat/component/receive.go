package component

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"time"

	"wxgate/wechat"
)

// The types of events (InfoType) that change something here:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html
const (
	infoTicket       = "component_verify_ticket"
	infoAuthorized   = "authorized"
	infoUpdated      = "updateauthorized"
	infoUnauthorized = "unauthorized"
	infoRegistered   = "notify_third_fasteregister" // sic
)

const (
	// codeLife is the life of an authorization code that came without one. WeChat's
	// page says ten minutes, developers measured an hour.
	codeLife = time.Hour
	maxCode  = 512
)

var (
	appIDForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	wordForm  = regexp.MustCompile(`^[0-9A-Za-z_]{1,60}$`)
)

// ValidAppID keeps out what would be a strange key or path. Genuine ones are wx and
// 16 hex digits, which nobody promises.
func ValidAppID(s string) bool { return appIDForm.MatchString(s) }

// Receive takes a push to the authorization-event URL. Without an error, what it
// says is in the store, and it may be acknowledged; what it asks for is begun
// beside. It may come any number of times, late, and in any order.
//
// An error with [wechat.ErrPush] in its chain is about the push: it is another
// platform's, or makes no sense. Any other is the store's: the push must not be
// acknowledged, and WeChat sends it again.
func (p *Platform) Receive(ctx context.Context, m wechat.Message) error {
	// The frame named the platform already. What people write names an account.
	if named := m.Field("AppId"); named != p.app.ID && (named != "" || m.ToUserName != "") {
		return fmt.Errorf("%w: it is for another third-party platform", wechat.ErrPush)
	}
	switch kind := m.Field("InfoType"); kind {
	case infoTicket:
		return p.takeTicket(ctx, m)
	case infoAuthorized, infoUpdated:
		return p.takeCode(ctx, m, m.Field("AuthorizerAppid"), m.Field("AuthorizationCode"))
	case infoUnauthorized:
		appid := m.Field("AuthorizerAppid")
		if !ValidAppID(appid) || m.CreateTime.IsZero() {
			return fmt.Errorf("%w: an unauthorized push without an account or without a time", wechat.ErrPush)
		}
		return p.revoke(ctx, appid, m)
	case infoRegistered:
		return p.takeRegistration(ctx, m)
	default:
		// New types keep appearing, and all are to be acknowledged.
		p.log.LogAttrs(ctx, slog.LevelInfo, "an event of the third-party platform that nothing is done about", slog.String("type", plainWord(kind)))
		return nil
	}
}

// takeCode commits the code of an authorization, and begins to exchange it.
func (p *Platform) takeCode(ctx context.Context, m wechat.Message, appid, code string) error {
	if !ValidAppID(appid) || code == "" || len(code) > maxCode || m.CreateTime.IsZero() {
		return fmt.Errorf("%w: an authorization without an account, a code or a time", wechat.ErrPush)
	}
	life := codeLife
	if seconds, err := strconv.Atoi(m.Field("AuthorizationCodeExpiredTime")); err == nil && seconds > 0 {
		life = min(time.Duration(seconds)*time.Second, 24*time.Hour)
	}
	g := grantCode{Code: code, AppID: appid, At: m.CreateTime, Exact: true, Until: m.CreateTime.Add(life)}
	return p.commit(ctx, g)
}

// takeRegistration follows the fast registration of a mini program. If it came to
// an end that is good, it brings the code of an authorization.
func (p *Platform) takeRegistration(ctx context.Context, m wechat.Message) error {
	status := m.Field("status")
	if status != "0" {
		p.log.Warn("WeChat ended the fast registration of a mini program", "status", plainWord(status), "reason", registrationReason(status))
		return nil
	}
	if m.Field("auth_code") == "" {
		p.log.Info("WeChat registered a mini program; its authorization comes apart", "appid", plainWord(m.Field("appid")))
		return nil
	}
	return p.takeCode(ctx, m, m.Field("appid"), m.Field("auth_code"))
}

// registrationReason words a status of a fast registration.
func registrationReason(status string) string {
	switch n, _ := strconv.Atoi(status); {
	case n == -1:
		return "the company's name and the legal person do not fit together"
	case n >= 100001 && n <= 100003:
		return "nobody confirmed it within 24 hours"
	case n >= 101 && n <= 105, n == 1000:
		return "the data differ from those in the company register"
	case n >= 1001 && n <= 1008:
		return "a limit of WeChat's, or a list of those it refuses"
	}
	return "see WeChat's list"
}

// plainWord is what the log shows of a word inside a push: what was decrypted is
// for WeChat's own vocabulary only.
func plainWord(s string) string {
	if s == "" || wordForm.MatchString(s) || len(s) < 8 && s[0] == '-' {
		return s
	}
	return "?"
}
