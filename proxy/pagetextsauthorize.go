package proxy

// What the pages say on which an account is authorized. The reader administers an official account or a mini program,
// got a link from the operator of this site, and may never have seen it.

const (
	pageAuthorize         pageID = "authorize"
	pageAuthorizeMobile   pageID = "authorize_mobile"
	pageAuthorizeOnPC     pageID = "authorize_on_pc"
	pageAuthorizeInWeChat pageID = "authorize_in_wechat"
	pageAuthorizeOver     pageID = "authorize_over"
	pageAuthorizeAway     pageID = "authorize_away"
	pageAuthorizeTooEarly pageID = "authorize_too_early"
	pageAuthorizeMisset   pageID = "authorize_misset"
	pageAuthorizeDone     pageID = "authorize_done"
	pageAuthorizeKept     pageID = "authorize_kept"
	pageAuthorizeRefused  pageID = "authorize_refused"
	pageAuthorizeCode     pageID = "authorize_code"
)

var authorizeTopics = map[pageID]pageTopic{
	pageAuthorize: {tone: pageToneInfo,
		zh: pageText{Title: "授权公众号或小程序", FromHost: "请你把公众号或小程序授权给它。", Sentence: "下一步微信会显示二维码，请账号的管理员用微信扫码，选择账号和权限。",
			Note:   "只有管理员能授权，以后也可以在微信公众平台里取消。",
			Button: "去微信授权", Instruction: "请重新打开收到的链接。"},
		en: pageText{Title: "Authorize your account", FromHost: "asks you to authorize it to act for your account.", Sentence: "WeChat will show a QR code: the account's administrator scans it, then chooses account and permissions.",
			Note:   "Only an administrator can do this, and can take it back on mp.weixin.qq.com.",
			Button: "Go on to WeChat", Instruction: "Open the link again that you were sent."}},
	pageAuthorizeMobile: {tone: pageToneInfo,
		zh: pageText{Title: "授权公众号或小程序", FromHost: "请你把公众号或小程序授权给它。", Sentence: "下一步请以管理员身份选择账号和权限。",
			Note:   "只有管理员能授权，以后也可以在微信公众平台里取消。",
			Button: "去微信授权", Instruction: "请重新打开收到的链接。"},
		en: pageText{Title: "Authorize your account", FromHost: "asks you to authorize it to act for your account.", Sentence: "WeChat will ask its administrator to choose the account and the permissions.",
			Note:   "Only an administrator can do this, and can take it back on mp.weixin.qq.com.",
			Button: "Go on to WeChat", Instruction: "Open the link again that you were sent."}},
	pageAuthorizeOnPC: {tone: pageToneInfo,
		zh: pageText{Title: "请用电脑浏览器打开", Sentence: "这个链接会显示一个二维码，要用手机微信来扫，所以在微信里或手机上不能继续。",
			Button: "返回首页", Instruction: "请在电脑的浏览器里打开收到的链接，再用手机微信扫码。"},
		en: pageText{Title: "Open this in a computer's browser", Sentence: "The link leads to a QR code that your phone has to scan, so it does not work inside WeChat or on a phone.",
			Button: "Go to the start page", Instruction: "Open the link in a browser on a computer, then scan with WeChat on your phone."}},
	pageAuthorizeInWeChat: {tone: pageToneInfo,
		zh: pageText{Title: "请在微信里打开", Sentence: "这个授权链接要在手机微信里打开。",
			Button: "用微信打开", Instruction: "复制网址，发到微信的任意聊天里，再点开它。"},
		en: pageText{Title: "Open this in WeChat", Sentence: "This link works inside WeChat on a phone.",
			Button: "Open in WeChat", Instruction: "Copy the address, send it to any chat in WeChat, and open it there."}},
	pageAuthorizeOver: {tone: pageToneWarn,
		zh: pageText{Title: "链接已失效", Sentence: "这个授权链接已经在别的浏览器里打开过，或者过期了。",
			Button: "返回首页", Instruction: "请向给你链接的人要一个新的。"},
		en: pageText{Title: "This link is used up", Sentence: "It was opened in another browser before, or it has expired.",
			Button: "Go to the start page", Instruction: "Ask whoever sent it to you for a new one."}},
	pageAuthorizeAway: {tone: pageToneWaiting,
		zh: pageText{Title: "暂时连不上微信", Sentence: "微信没有给出有效的回应，授权还没有开始。",
			Button: "再试一次", Instruction: "请过一会儿再打开收到的链接。"},
		en: pageText{Title: "WeChat is not answering", Sentence: "WeChat gave no usable answer; nothing has been authorized yet.",
			Button: "Try again", Instruction: "Open your link again a little later."}},
	pageAuthorizeTooEarly: {tone: pageToneWaiting,
		zh: pageText{Title: "暂时不能授权", Sentence: "这个平台还在等微信的通知，不是你的问题。",
			Button: "再试一次", Instruction: "请过十分钟再打开收到的链接。"},
		en: pageText{Title: "Not ready yet", Sentence: "This platform is still waiting for WeChat; it is not your fault.",
			Button: "Try again", Instruction: "Open your link again in ten minutes."}},
	pageAuthorizeMisset: {tone: pageToneStop,
		zh: pageText{Title: "暂时不能授权", Sentence: "这个平台在微信的设置有误，不是你的问题。",
			Button: "返回首页", Instruction: "请把下面的请求编号告诉给你链接的人。"},
		en: pageText{Title: "Authorization is not available", Sentence: "This platform is not set up correctly at WeChat; it is not your fault.",
			Button: "Go to the start page", Instruction: "Please give the request ID below to whoever sent you the link."}},
	pageAuthorizeDone: {tone: pageToneOK,
		zh: pageText{Title: "授权完成", Sentence: "从现在起，这个平台可以按你选择的权限为账号服务。",
			Note:   "管理员随时可以在微信公众平台里取消授权。",
			Button: "返回首页", Instruction: "你不用再做什么，可以关闭这个页面了。"},
		en: pageText{Title: "Authorized", Sentence: "From now on this platform can serve the account, with the permissions that you chose.",
			Note:   "An administrator can take this back on mp.weixin.qq.com at any time.",
			Button: "Go to the start page", Instruction: "There is nothing more to do. You can close this page."}},
	pageAuthorizeKept: {tone: pageToneWaiting,
		zh: pageText{Title: "授权已收到", Sentence: "微信暂时没有回应。我们已经记下你的授权，会在后台继续完成，不需要重新授权。",
			Button: "看看结果", Instruction: "可以关闭这个页面，也可以过一会儿再看结果。"},
		en: pageText{Title: "We have your authorization", Sentence: "WeChat is not answering right now. Your authorization is kept and will be completed in the background; you need not repeat it.",
			Button: "See the result", Instruction: "You can close this page, or look again later."}},
	pageAuthorizeRefused: {tone: pageToneStop,
		zh: pageText{Title: "没有授权", Sentence: "微信里没有同意授权，什么都没有改变。",
			Button: "返回首页", Instruction: "想继续的话，请重新打开收到的链接。"},
		en: pageText{Title: "Not authorized", Sentence: "The authorization was not agreed to in WeChat; nothing has changed.",
			Button: "Go to the start page", Instruction: "To go on, open the link again that you were sent."}},
	pageAuthorizeCode: {tone: pageToneWarn,
		zh: pageText{Title: "授权没有完成", Sentence: "微信给出的授权凭证已经用过，或者过期了。",
			Button: "返回首页", Instruction: "请重新打开收到的链接，再授权一次；打不开的话，请要一个新的。"},
		en: pageText{Title: "Authorization not finished", Sentence: "The pass that WeChat gave for it was used before or has expired.",
			Button: "Go to the start page", Instruction: "Open your link again and authorize once more; if it does not open, ask for a new one."}},
}
