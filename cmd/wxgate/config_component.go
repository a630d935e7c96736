package main

// Component is about a third-party platform (第三方平台) of the open platform: accounts of others authorize it, and it logs
// visitors in on their behalf. Without an AppID all of it is off.
type Component struct {
	ComponentAppID     appID  `envconfig:"WXGATE_COMPONENT_APP_ID" implied:"off" desc:"third-party platform (第三方平台) of the open platform, which other accounts authorize; needs the next three"`
	ComponentAppSecret hidden `envconfig:"WXGATE_COMPONENT_APP_SECRET" desc:"its AppSecret"`

	// One Token and one key are for both of its callback URLs and for the messages of all accounts.
	ComponentToken  pushToken `envconfig:"WXGATE_COMPONENT_TOKEN" desc:"its 消息校验Token: signs what WeChat posts to '/.wxgate/component/events' and '/.wxgate/component/messages/$APPID$'"`
	ComponentAESKey aesKey    `envconfig:"WXGATE_COMPONENT_AES_KEY" desc:"its 消息加解密Key (EncodingAESKey)"`

	// ComponentAESKeyPrevious is why a new key in the console costs no push: WeChat goes on with the old one for a while.
	ComponentAESKeyPrevious aesKey `envconfig:"WXGATE_COMPONENT_AES_KEY_PREVIOUS" desc:"the key before that, after a change in the console: pushes sealed with it are still opened"`

	ComponentAccounts accounts `envconfig:"WXGATE_COMPONENT_ACCOUNTS" desc:"comma-separated 'host=AppID': on this host, which is served too, visitors log in on behalf of this authorized account, with this host as the callback host; replaces 'WXGATE_MP_*' there"`
}
