package main

// WeChat is about the accounts that log visitors in, and about how they are asked.
type WeChat struct {
	MPAppID     appID  `envconfig:"WXGATE_MP_APP_ID" desc:"service account (公众号/服务号) that logs visitors in inside WeChat"`
	MPAppSecret hidden `envconfig:"WXGATE_MP_APP_SECRET" desc:"its AppSecret"`

	MPToken  pushToken `envconfig:"WXGATE_MP_TOKEN" desc:"Token of its message push (服务器配置), if wxgate receives it at '/.wxgate/messages'"`
	MPAESKey aesKey    `envconfig:"WXGATE_MP_AES_KEY" desc:"its EncodingAESKey; with it only encrypted pushes are accepted (安全模式 or 兼容模式)"`

	WebAppID        appID  `envconfig:"WXGATE_WEB_APP_ID" desc:"website app (网站应用) of the open platform: QR login on a PC"`
	WebAppSecret    hidden `envconfig:"WXGATE_WEB_APP_SECRET" desc:"its AppSecret"`
	MobileAppID     appID  `envconfig:"WXGATE_MOBILE_APP_ID" desc:"mobile app (移动应用) of the open platform: '/.wxgate/exchange' with client 'mobile'"`
	MobileAppSecret hidden `envconfig:"WXGATE_MOBILE_APP_SECRET" desc:"its AppSecret"`
	MiniAppID       appID  `envconfig:"WXGATE_MINI_APP_ID" desc:"mini program (小程序): '/.wxgate/exchange' with client 'mini'"`
	MiniAppSecret   hidden `envconfig:"WXGATE_MINI_APP_SECRET" desc:"its AppSecret"`

	// MessageForward may be plain http anywhere: in a pod or a compose network the app is not always on loopback.
	MessageForward forwardURL `envconfig:"WXGATE_MESSAGE_FORWARD" desc:"URL at the app: pushed messages are posted there, decrypted, as XML and signed; its XML answer goes back, encrypted where the push was"`

	// PlatformID becomes part of stored keys: renaming it later makes every known unionid a stranger.
	PlatformID word `envconfig:"WXGATE_PLATFORM_ID" default:"default" desc:"name of the open-platform account (微信开放平台): the namespace of unionids; never change it later"`

	Login         choice   `envconfig:"WXGATE_LOGIN" default:"silent" oneof:"silent consent" desc:"inside WeChat: 'silent' = snsapi_base first, consent only where a 'profile' rule or the app asks; 'consent' = an explanatory page with a button, then snsapi_userinfo"`
	QR            choice   `envconfig:"WXGATE_QR" implied:"embed, or phone without a website app" oneof:"embed redirect phone" desc:"login on a PC: 'embed' = own page with the QR frame of WeChat, 'redirect' = straight to the page of WeChat, both by the website app; 'phone' = own QR code that the phone opens inside WeChat and confirms, by the service account"`
	Snapshot      choice   `envconfig:"WXGATE_SNAPSHOT" default:"guide" oneof:"guide visitor" desc:"visitors of a snapshot page: 'guide' = page that explains 使用完整服务; 'visitor' = forwarded as a visitor, safe methods only"`
	ProfileMaxAge duration `envconfig:"WXGATE_PROFILE_MAX_AGE" default:"720h" desc:"older profiles are refreshed at the next consented login"`

	// The addresses are variables so that end-to-end tests can put a simulator in WeChat's place.
	WeChatAPIURL  serviceURL `envconfig:"WXGATE_WECHAT_API_URL" default:"https://api.weixin.qq.com" desc:"the server API of WeChat"`
	WeChatOpenURL serviceURL `envconfig:"WXGATE_WECHAT_OPEN_URL" default:"https://open.weixin.qq.com" desc:"the authorize pages of WeChat"`
	WeChatMPURL   serviceURL `envconfig:"WXGATE_WECHAT_MP_URL" default:"https://mp.weixin.qq.com" desc:"the pages of WeChat on which accounts authorize a third-party platform"`
}
