package main

// Yunxin is about the instant-messaging account of every user. Without an app key all of it is off.
type Yunxin struct {
	YunxinAppKey    word   `envconfig:"WXGATE_YUNXIN_APP_KEY" implied:"off" desc:"app key (AppKey) of the Yunxin (网易云信) application"`
	YunxinAppSecret hidden `envconfig:"WXGATE_YUNXIN_APP_SECRET" desc:"its app secret (AppSecret)"`

	YunxinAPI  choice      `envconfig:"WXGATE_YUNXIN_API" default:"v2" oneof:"v2 v1" desc:"server API: 'v2' ('/im/v2/accounts…') or 'v1' ('/user/*.action')"`
	YunxinURLs serviceURLs `envconfig:"WXGATE_YUNXIN_URLS" implied:"by API" desc:"comma-separated bases, primary then backups: v2 'https://open.yunxinapi.com,https://open-bak.yunxinapi.com'; v1 'https://api.yunxinapi.com/nimserver,https://api-cn-bak.yunxinapi.com/nimserver'"`

	// YunxinRequired puts Yunxin on the critical path of every first login: its outage becomes ours.
	YunxinRequired boolean `envconfig:"WXGATE_YUNXIN_REQUIRED" default:"false" desc:"'true': no login without an account; 'false': login goes on, creation is retried in the background until done"`

	YunxinToken    choice   `envconfig:"WXGATE_YUNXIN_TOKEN" default:"static" oneof:"static dynamic" desc:"'static' = a token derived here from the secrets and set at Yunxin, the same on every replica; 'dynamic' = short-lived, minted here (needs the console switch and web SDK >= 8.3.0)"`
	YunxinTokenTTL duration `envconfig:"WXGATE_YUNXIN_TOKEN_TTL" default:"10m" desc:"life of a dynamic token"`

	DefaultName nameTemplate `envconfig:"WXGATE_DEFAULT_NAME" default:"玩家{{.Digits}}" desc:"name of a user without a profile, at Yunxin and in 'nick'; '{{.Digits}}' are four digits from the user id"`
}

// yunxinBases are Yunxin's own addresses for each server API, primary first.
var yunxinBases = map[string][]string{
	"v2": {"https://open.yunxinapi.com", "https://open-bak.yunxinapi.com"},
	"v1": {"https://api.yunxinapi.com/nimserver", "https://api-cn-bak.yunxinapi.com/nimserver"},
}

// Identity is about what the app is told, and how it can check that it was told by us.
type Identity struct {
	// JWTKey replaces the derived keys for those whose keys must come from elsewhere.
	JWTKey pemKeys `envconfig:"WXGATE_JWT_KEY" implied:"derived" desc:"PEM private keys (P-256, Ed25519 or RSA >= 2048), newest first; without it a P-256 key is derived from each of 'WXGATE_SECRETS', so replicas agree with no further set-up"`

	JWTIssuer   word     `envconfig:"WXGATE_JWT_ISSUER" implied:"public URL" desc:"claim 'iss' of the assertion"`
	JWTAudience word     `envconfig:"WXGATE_JWT_AUDIENCE" implied:"host of the public URL" desc:"claim 'aud' of the assertion"`
	JWTTTL      duration `envconfig:"WXGATE_JWT_TTL" default:"5m" desc:"life of an assertion; a forwarded one always has at least half of it left"`

	PlainHeaders boolean `envconfig:"WXGATE_PLAIN_HEADERS" default:"true" desc:"send the unsigned 'X-Wxgate-*' headers too"`
}
