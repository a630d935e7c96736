package identity

import "github.com/golang-jwt/jwt/v5"

// VisitorSubject is the subject of an assertion about somebody who has no user: the visitor of a snapshot page.
const VisitorSubject = "visitor"

// GatewaySubject is the subject of a token that speaks for the gateway and for no user: it signs the body of an event or a message.
const GatewaySubject = "wxgate"

// Claims is what an assertion says. The registered names are those of RFC 7519, section 4.1; auth_time, name, picture and sid those of
// OpenID Connect. Empty claims are left out.
//
// [Signer.Sign] fills Issuer, Audience, IssuedAt, NotBefore, ExpiresAt and ID itself. The type also satisfies jwt.Claims, so a
// Go app can hand it to golang-jwt to read assertions.
type Claims struct {
	Issuer    string           `json:"iss"`
	Audience  string           `json:"aud"` // one plain string; RFC 7519 allows it, and every library reads it
	Subject   string           `json:"sub"` // user id, or VisitorSubject
	IssuedAt  *jwt.NumericDate `json:"iat"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	ExpiresAt *jwt.NumericDate `json:"exp"`
	ID        string           `json:"jti"`

	SessionID  string           `json:"sid,omitempty"` // hash of the session id
	AuthTime   *jwt.NumericDate `json:"auth_time,omitempty"`
	Name       string           `json:"name,omitempty"`
	Picture    string           `json:"picture,omitempty"`
	MergedFrom []string         `json:"merged_from,omitempty"` // ids that were merged into this user
	WeChat     *WeChatClaim     `json:"wechat,omitempty"`
	Yunxin     *YunxinClaim     `json:"yunxin,omitempty"`
	Snapshot   bool             `json:"snapshot,omitempty"`
	// SHA256 is the hash of the body that this token goes with, in lower-case hex.
	SHA256 string `json:"sha256,omitempty"`
}

// WeChatClaim says which WeChat account this session came from.
type WeChatClaim struct {
	Channel string `json:"channel,omitempty"`
	AppID   string `json:"appid,omitempty"`
	OpenID  string `json:"openid,omitempty"`
	UnionID string `json:"unionid,omitempty"`
	Scope   string `json:"scope,omitempty"`
}

// YunxinClaim names the user's account at Yunxin.
type YunxinClaim struct {
	Accid string `json:"accid"`
}

// The methods of jwt.Claims.

func (c Claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c Claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c Claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{c.Audience}, nil }
func (c Claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c Claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore, nil }
func (c Claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }
