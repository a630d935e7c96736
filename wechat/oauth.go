package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	apiAccessToken = "sns/oauth2/access_token"
	apiUserInfo    = "sns/userinfo"

	// maxCode bounds what is sent as a code. Genuine codes have 32 characters;
	// the bound keeps a forged one from becoming an overlong URL, which some
	// server on the way would refuse in its own manner.
	maxCode = 512
	// maxID bounds an openid or unionid. Genuine ones have 28 characters.
	maxID = 128
	// maxAvatarURL bounds headimgurl. Genuine ones have about 130 bytes.
	maxAvatarURL = 2048
	// maxLife bounds a stated life, so that no number overflows a duration.
	maxLife = 365 * 24 * time.Hour
)

// Token is the answer to a code: who came back, and a token that reads the
// profile if Scope contains snsapi_userinfo.
type Token struct {
	AccessToken  string
	RefreshToken string // good for 30 days; not needed by a gateway with sessions of its own
	OpenID       string // never empty
	UnionID      string // only after snsapi_userinfo, and only for bound accounts
	Scope        string // comma-separated
	ExpiresIn    time.Duration
	// Snapshot says that nobody is there: the ids belong to the virtual account
	// of a snapshot page. Any is_snapshotuser that is not plainly "no" counts.
	Snapshot bool
}

// HasScope tells whether the person granted scope.
func (t Token) HasScope(scope string) bool {
	for have := range strings.SplitSeq(t.Scope, ",") {
		if strings.TrimSpace(have) == scope {
			return true
		}
	}
	return false
}

// Exchange uses up a code. GET /sns/oauth2/access_token, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsaccesstoken
//
// A code works once, and after an error nobody can tell whether it was used. So
// there is exactly one attempt, at most 10 seconds long, and the caller must not
// make another one with the same code.
//
// Errors are [*APIError] when WeChat said no and [*UnavailableError] when it said
// nothing of use. A code that cannot be one of WeChat's (empty, over 512 bytes)
// is answered with WeChat's own error for it, without a call.
func (c *Client) Exchange(ctx context.Context, app App, code string) (Token, error) {
	if err := checkCode(apiAccessToken, code); err != nil {
		return Token{}, err
	}
	return c.personToken(ctx, request{
		api: apiAccessToken,
		query: url.Values{
			"appid":      {app.ID},
			"secret":     {app.Secret},
			"code":       {code},
			"grant_type": {"authorization_code"},
		},
		hide: []string{"secret", "code"},
		once: true,
	})
}

// checkCode answers for a code that cannot be one of WeChat's.
func checkCode(api, code string) error {
	switch {
	case code == "":
		return &APIError{API: api, Code: 41008, Message: "missing code (not sent)"}
	case len(code) > maxCode:
		return &APIError{API: api, Code: 40029, Message: "code too long (not sent)"}
	}
	return nil
}

// personToken makes a call that is answered with a person's token.
func (c *Client) personToken(ctx context.Context, req request) (t Token, err error) {
	err = c.call(ctx, req, func(r reply) (err error) {
		t, err = readToken(r)
		return err
	})
	if err != nil {
		return Token{}, err
	}
	return t, nil
}

func readToken(r reply) (Token, error) {
	openid, unionid, err := r.ids()
	if err != nil {
		return Token{}, err
	}
	t := Token{
		AccessToken:  r.text("access_token"),
		RefreshToken: r.text("refresh_token"),
		OpenID:       openid,
		UnionID:      unionid,
		Scope:        r.text("scope"),
		ExpiresIn:    r.seconds("expires_in"),
		Snapshot:     r.flag("is_snapshotuser"),
	}
	if t.AccessToken == "" {
		return Token{}, errors.New("answer without access_token")
	}
	return t, nil
}

// UserInfo is the profile of a person who consented. Name and picture are for
// display: they may be empty, shared by many, and changed at any time.
type UserInfo struct {
	OpenID  string
	UnionID string // only for accounts bound to an open-platform account
	// Nickname is valid UTF-8 without control characters; it may be empty, and
	// nothing bounds its length but the 1 MiB of an answer.
	Nickname string
	// AvatarURL is an http or https URL of at most 2048 bytes, or empty. It dies
	// when the person changes the picture.
	AvatarURL string
}

// UserInfo reads the profile that belongs to a token of scope snsapi_userinfo.
// GET /sns/userinfo, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsuserinfo.html
//
// An answer about another openid is refused with [ErrOtherPerson]. Errors are
// [*APIError] (48001: the token has only snsapi_base) and [*UnavailableError].
func (c *Client) UserInfo(ctx context.Context, accessToken, openid string) (UserInfo, error) {
	var u UserInfo
	err := c.call(ctx, request{
		api: apiUserInfo,
		query: url.Values{
			"access_token": {accessToken},
			"openid":       {openid},
			"lang":         {"zh_CN"},
		},
		hide: []string{"access_token", "openid"},
	}, func(r reply) (err error) {
		u, err = readUserInfo(r, openid)
		return err
	})
	if err != nil {
		return UserInfo{}, err
	}
	return u, nil
}

func readUserInfo(r reply, want string) (UserInfo, error) {
	openid, unionid, err := r.ids()
	if err != nil {
		return UserInfo{}, err
	}
	if openid != want {
		return UserInfo{}, ErrOtherPerson
	}
	return UserInfo{
		OpenID:    openid,
		UnionID:   unionid,
		Nickname:  printable(r.text("nickname")),
		AvatarURL: pictureURL(r.text("headimgurl")),
	}, nil
}

// ids reads openid, which must be there, and unionid, which may be. They become
// keys and headers, so anything but printable ASCII is refused.
func (r reply) ids() (openid, unionid string, err error) {
	openid, unionid = r.text("openid"), r.text("unionid")
	if openid == "" {
		return "", "", errors.New("answer without openid")
	}
	for _, id := range []string{openid, unionid} {
		if len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return "", "", fmt.Errorf("answer with an id that is not 1 to %d printable ASCII characters", maxID)
		}
	}
	return openid, unionid, nil
}

// printable drops control characters, which reach a nickname as raw bytes (gone
// before decoding) and could as well as JSON escapes.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, s)
}

// pictureURL returns s if a page may load it as a picture, else "".
func pictureURL(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxAvatarURL || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return s
}
