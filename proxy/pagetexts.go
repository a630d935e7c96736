package proxy

import "maps"

// Everything a page can say. The reader is somebody who wants to play, on a phone, in WeChat: each text says what
// happened and what to do next, blames nobody, and promises only what the gateway itself can know.

// pageID names one page.
type pageID string

const (
	pageLoginRequired       pageID = "login_required"
	pageConsent             pageID = "consent"
	pageOpenInWeChat        pageID = "open_in_wechat"
	pageSnapshotGuide       pageID = "snapshot_guide"
	pageStateLost           pageID = "state_lost"
	pageLoopStopped         pageID = "loop_stopped"
	pageDenied              pageID = "denied"
	pageLoginRefused        pageID = "login_refused"
	pageUserBlocked         pageID = "user_blocked"
	pageProfileRequired     pageID = "profile_required"
	pageSnapshotVisitor     pageID = "snapshot_visitor"
	pageWrongHost           pageID = "wrong_host"
	pageBadRequest          pageID = "bad_request"
	pageInvalidCode         pageID = "invalid_code"
	pageNotFound            pageID = "not_found"
	pageMethodNotAllowed    pageID = "method_not_allowed"
	pageRateLimited         pageID = "rate_limited"
	pageUpstreamUnavailable pageID = "upstream_unavailable"
	pageUpstreamTimeout     pageID = "upstream_timeout"
	pageWeChatUnavailable   pageID = "wechat_unavailable"
	pageWeChatMisconfigured pageID = "wechat_misconfigured"
	pageStoreUnavailable    pageID = "store_unavailable"
	pageInternal            pageID = "internal"
	pageQRFrame             pageID = "qr_frame"
	pageQRPair              pageID = "qr_pair"
	pagePairConfirm         pageID = "pair_confirm"
	pagePairDone            pageID = "pair_done"
	pagePairRefused         pageID = "pair_refused"
	pagePairMistaken        pageID = "pair_mistaken"
	pagePairOver            pageID = "pair_over"
	pagePairExpired         pageID = "pair_expired"
	pagePairDenied          pageID = "pair_denied"
)

// pageTone chooses icon and colour; its values are the names that style.css and icons.html know.
type pageTone string

const (
	pageToneInfo    pageTone = "info"
	pageToneOK      pageTone = "ok"
	pageToneWarn    pageTone = "warn"
	pageToneStop    pageTone = "stop"
	pageToneWaiting pageTone = "waiting"
)

// pageText is one page in one language. Button and Instruction say the same next step, the first when the page can
// link to it, the second when it can only be described.
type pageText struct {
	Title, Sentence     string
	FromHost            string   // said first, with the name of the site as its subject
	Points              []string // what the visitor is asked to agree to
	Note                string
	Button, Instruction string
}

type pageTopic struct {
	tone pageTone
	// guide: the next step is a button of WeChat's own, outside the page, so that the instruction always stands and a
	// link can only be the way out for somebody who does not see that button.
	guide  bool
	zh, en pageText
}

// pageWords are the words around the texts.
type pageWords struct {
	RequestID, Cause, Back, Copy, Copied, CopyByHand string
	OtherPhone, Phone, OrCopy, WholePage             string
	Site, Device, Place, Near, Time, Ago, NotMe      string
	Confirmed, PairRefused, PairExpired, Account     string
}

var (
	pageWordsZH = pageWords{
		RequestID: "请求编号", Cause: "可能的原因", Back: "暂不，返回",
		Copy: "复制网址", Copied: "已复制。发到微信的任意聊天里，再点开它。", CopyByHand: "请长按选中的地址来复制。",
		OtherPhone: "或者，用另一部手机的微信扫一扫。", Phone: "用手机微信扫一扫。", OrCopy: "或者，复制网址，发到微信的任意聊天里，再点开它。",
		WholePage: "二维码没有出现？打开微信的登录页面",
		Site:      "网站", Device: "电脑", Place: "网络位置", Near: "和这部手机在同一个网络", Time: "时间", Ago: "秒前", NotMe: "不是我，拒绝",
		Confirmed: "已在手机上确认？点这里继续", PairRefused: "手机上没有同意这次登录。", PairExpired: "二维码已过期。",
		Account: "账号",
	}
	pageWordsEN = pageWords{
		RequestID: "Request ID", Cause: "Likely cause", Back: "Not now, go back",
		Copy: "Copy address", Copied: "Copied. Send it to any chat in WeChat and open it there.", CopyByHand: "Press and hold the selected address to copy it.",
		OtherPhone: "Or scan this with WeChat on another phone.", Phone: "Scan this with WeChat on your phone.", OrCopy: "Or copy the address, send it to any chat in WeChat and open it there.",
		WholePage: "No QR code? Open the login page of WeChat",
		Site:      "Site", Device: "Computer", Place: "Network", Near: "The same network as this phone", Time: "Time", Ago: "seconds ago", NotMe: "This is not me",
		Confirmed: "Confirmed on the phone? Go on", PairRefused: "The phone did not agree to this login.", PairExpired: "The QR code has expired.",
		Account: "Account",
	}
)

// pageDetail names the likely cause of a login that does not stick.
type pageDetail string

const (
	detailCookies   pageDetail = "cookies"    // the browser does not send back what it was given
	detailHTTP      pageDetail = "http"       // cookies marked Secure, page opened over plain http
	detailWrongHost pageDetail = "wrong_host" // started on one host, came back to another
	detailClock     pageDetail = "clock"      // what was issued just now counts as expired

	// What the operator has to configure.
	detailNoAccount        pageDetail = "no_account"
	detailNoServiceAccount pageDetail = "no_service_account"
	detailNoHostAccount    pageDetail = "no_host_account"
)

var pageDetails = map[pageDetail]struct{ zh, en string }{
	detailCookies:   {"这个浏览器没有保留 Cookie。请关闭无痕模式，或允许这个网站使用 Cookie。", "This browser is not keeping cookies. Leave private mode, or allow cookies for this site."},
	detailHTTP:      {"打开的是 http 开头的网址，登录信息无法安全保存。请改用 https 开头的网址。", "The address was opened with http, where a login cannot be kept safely. Use the address that starts with https."},
	detailWrongHost: {"返回的网址和开始登录时的不一样。请从公众号菜单或原来的链接进入。", "Login came back to a different address than it started from. Enter from the menu of the official account or by the original link."},
	detailClock:     {"设备或服务器的时间不准。请把设备的日期和时间设为自动。", "The clock of this device or of the server is off. Set date and time on your device to automatic."},
	detailNoAccount: {"网站还没有接入微信。运营者需要设置 WXGATE_MP_APP_ID（服务号）或 WXGATE_WEB_APP_ID（网站应用）。",
		"WeChat is not connected to this site yet. Its operator has to set WXGATE_MP_APP_ID (service account) or WXGATE_WEB_APP_ID (website app)."},
	detailNoServiceAccount: {"网站还没有接入服务号，所以在微信里不能登录。运营者需要设置 WXGATE_MP_APP_ID；在电脑的浏览器里可以登录。",
		"No service account is connected to this site, so login inside WeChat does not work. Its operator has to set WXGATE_MP_APP_ID; a browser on a computer can log in."},
	detailNoHostAccount: {"这个网址还没有对应的公众号。运营者需要在 WXGATE_COMPONENT_ACCOUNTS 里把它指定给一个已授权的服务号，或者设置 WXGATE_MP_APP_ID。",
		"No account is assigned to this address yet. Its operator has to assign it to an authorized service account in WXGATE_COMPONENT_ACCOUNTS, or to set WXGATE_MP_APP_ID."},
}

// pageTopics are all pages there are.
var pageTopics = topicsOf(visitorTopics, authorizeTopics)

func topicsOf(parts ...map[pageID]pageTopic) map[pageID]pageTopic {
	all := map[pageID]pageTopic{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

var visitorTopics = map[pageID]pageTopic{
	pageLoginRequired: {tone: pageToneInfo,
		zh: pageText{Title: "请先登录", Sentence: "登录后才能继续，刚才的操作还没有提交。",
			Button: "用微信登录", Instruction: "请在微信里重新打开这个页面。"},
		en: pageText{Title: "Please log in first", Sentence: "Log in to continue; what you just did has not been submitted.",
			Button: "Log in with WeChat", Instruction: "Open this page again in WeChat."}},
	pageConsent: {tone: pageToneOK,
		zh: pageText{Title: "用微信身份继续", Sentence: "点按钮后微信会请你同意提供以下信息，用来在这里显示你是谁。",
			Points: []string{"微信昵称", "微信头像"}, Note: "不包括手机号、好友和聊天内容。",
			Button: "去微信确认", Instruction: "请在微信里重新打开这个页面。"},
		en: pageText{Title: "Continue with WeChat", Sentence: "Tap the button and WeChat will ask you to share the following, which shows people here who you are.",
			Points: []string{"Your nickname", "Your profile photo"}, Note: "Your phone number, friends and chats are not included.",
			Button: "Confirm in WeChat", Instruction: "Open this page again in WeChat."}},
	pageOpenInWeChat: {tone: pageToneInfo,
		zh: pageText{Title: "请在微信里打开", Sentence: "这个页面要用微信登录，在当前浏览器里无法完成。",
			Button: "用微信打开", Instruction: "复制网址，发到微信的任意聊天里，再点开它。"},
		en: pageText{Title: "Open this in WeChat", Sentence: "This page uses WeChat to log you in, which does not work in this browser.",
			Button: "Open in WeChat", Instruction: "Copy the address, send it to any chat in WeChat and open it there."}},
	pageSnapshotGuide: {tone: pageToneInfo, guide: true,
		zh: pageText{Title: "还差一步", Sentence: "你现在看到的是微信的预览页面，在这里还不能登录。",
			Button: "没有看到按钮？重新打开", Instruction: "点击右下角「使用完整服务」"},
		en: pageText{Title: "One more step", Sentence: "WeChat is showing a preview of this page, where you cannot log in yet.",
			Button: "No such button? Open again", Instruction: "Tap the full service button in the bottom right corner"}},
	pageSnapshotVisitor: {tone: pageToneInfo, guide: true,
		zh: pageText{Title: "预览中不能操作", Sentence: "你正在看微信的预览页面，进入完整页面后才能这样做。",
			Button: "没有看到按钮？重新打开", Instruction: "点击右下角「使用完整服务」"},
		en: pageText{Title: "Not in the preview", Sentence: "WeChat is showing a preview of this page; this works only on the full page.",
			Button: "No such button? Open again", Instruction: "Tap the full service button in the bottom right corner"}},
	pageStateLost: {tone: pageToneWarn,
		zh: pageText{Title: "登录没有完成", Sentence: "这次登录已经过期，或者不是从这个浏览器开始的。",
			Button: "重新登录", Instruction: "请回到最初的页面，重新进入。"},
		en: pageText{Title: "Login not finished", Sentence: "This login has expired, or it was started in a different browser.",
			Button: "Log in again", Instruction: "Go back to the page you came from and enter again."}},
	pageLoopStopped: {tone: pageToneStop,
		zh: pageText{Title: "登录反复没有成功", Sentence: "为了不让你一直等下去，自动登录已经停下。",
			Button: "再试一次", Instruction: "请关闭这个页面，过一分钟再进入。"},
		en: pageText{Title: "Login keeps failing", Sentence: "So that you do not go round in circles, automatic login has stopped.",
			Button: "Try again", Instruction: "Close this page and come back in a minute."}},
	pageDenied: {tone: pageToneInfo,
		zh: pageText{Title: "你取消了授权", Sentence: "没关系，你的昵称和头像没有提供给这里。",
			Button: "重新登录", Instruction: "现在可以关闭这个页面，想登录时再打开就好。"},
		en: pageText{Title: "You chose not to share", Sentence: "That is fine: your nickname and photo have not been shared here.",
			Button: "Log in again", Instruction: "You can close this page now and come back whenever you like."}},
	pageLoginRefused: {tone: pageToneStop,
		zh: pageText{Title: "微信没有允许登录", Sentence: "微信认为这次登录有风险，没有让它通过。",
			Button: "再试一次", Instruction: "请先在微信里确认账号状态正常，稍后再来。"},
		en: pageText{Title: "WeChat refused the login", Sentence: "WeChat considers this login risky and did not let it through.",
			Button: "Try again", Instruction: "Check in WeChat that your account is in good standing, then come back later."}},
	pageUserBlocked: {tone: pageToneStop,
		zh: pageText{Title: "账号已停用", Sentence: "这个账号目前不能在这里使用。",
			Button: "返回首页", Instruction: "如有疑问，请联系客服，并提供下面的请求编号。"},
		en: pageText{Title: "Account suspended", Sentence: "This account cannot be used here at the moment.",
			Button: "Go to the start page", Instruction: "If you have questions, contact support and quote the request ID below."}},
	pageProfileRequired: {tone: pageToneInfo,
		zh: pageText{Title: "需要昵称和头像", Sentence: "继续之前，需要你同意提供微信昵称和头像。",
			Button: "继续", Instruction: "请在微信里重新打开这个页面，并同意授权。"},
		en: pageText{Title: "Nickname and photo needed", Sentence: "To go on, please agree to share your WeChat nickname and photo.",
			Button: "Continue", Instruction: "Open this page again in WeChat and agree when asked."}},
	pageWrongHost: {tone: pageToneWarn,
		zh: pageText{Title: "网址不对", Sentence: "这个网址下没有可以打开的网站。",
			Button: "前往正确的网址", Instruction: "请从公众号菜单，或原来的链接重新进入。"},
		en: pageText{Title: "Wrong address", Sentence: "There is no site to open under this address.",
			Button: "Go to the right address", Instruction: "Enter again from the menu of the official account or by the original link."}},
	pageBadRequest: {tone: pageToneWarn,
		zh: pageText{Title: "链接有问题", Sentence: "这个链接不完整，或者被改动过。",
			Button: "返回首页", Instruction: "请从公众号菜单，或原来的链接重新进入。"},
		en: pageText{Title: "Something is wrong with this link", Sentence: "The link is incomplete or has been changed.",
			Button: "Go to the start page", Instruction: "Enter again from the menu of the official account or by the original link."}},
	pageInvalidCode: {tone: pageToneWarn,
		zh: pageText{Title: "登录凭证已失效", Sentence: "微信给出的登录凭证已经用过，或者过期了。",
			Button: "重新登录", Instruction: "请回到最初的页面，重新进入。"},
		en: pageText{Title: "This login is used up", Sentence: "The login pass from WeChat was used before or has expired.",
			Button: "Log in again", Instruction: "Go back to the page you came from and enter again."}},
	pageNotFound: {tone: pageToneWarn,
		zh: pageText{Title: "没有这个页面", Sentence: "链接可能写错了，或者页面已经不在了。",
			Button: "返回首页", Instruction: "请检查网址，或从原来的入口重新进入。"},
		en: pageText{Title: "Page not found", Sentence: "The link may be mistyped, or the page is gone.",
			Button: "Go to the start page", Instruction: "Check the address, or enter again from where you came."}},
	pageMethodNotAllowed: {tone: pageToneWarn,
		zh: pageText{Title: "不能这样打开", Sentence: "这个网址不支持刚才的操作。",
			Button: "返回首页", Instruction: "请返回上一页，重新进入。"},
		en: pageText{Title: "This does not work here", Sentence: "This address does not support what you just did.",
			Button: "Go to the start page", Instruction: "Go back one page and enter again."}},
	pageRateLimited: {tone: pageToneWaiting,
		zh: pageText{Title: "请稍等一下", Sentence: "你所在的网络刚才登录次数太多，需要缓一缓。",
			Button: "再试一次", Instruction: "请过一会儿再打开这个页面。"},
		en: pageText{Title: "Just a moment", Sentence: "There were too many logins from your network; a short break is needed.",
			Button: "Try again", Instruction: "Open this page again a little later."}},
	pageUpstreamUnavailable: {tone: pageToneWaiting,
		zh: pageText{Title: "网站暂时打不开", Sentence: "网站没有回应，可能正在更新。",
			Button: "再试一次", Instruction: "请过一会儿再打开这个页面。"},
		en: pageText{Title: "The site is away for a moment", Sentence: "The site is not answering; it may be getting an update.",
			Button: "Try again", Instruction: "Open this page again a little later."}},
	pageUpstreamTimeout: {tone: pageToneWaiting,
		zh: pageText{Title: "网站响应太慢", Sentence: "等了很久还没有结果；如果刚才提交了操作，请先看看是否已经生效。",
			Button: "再试一次", Instruction: "请过一会儿再打开这个页面。"},
		en: pageText{Title: "The site is taking too long", Sentence: "No result came in time; if you just submitted something, check first whether it went through.",
			Button: "Try again", Instruction: "Open this page again a little later."}},
	pageWeChatUnavailable: {tone: pageToneWaiting,
		zh: pageText{Title: "暂时连不上微信", Sentence: "微信没有给出有效的回应，这次登录没有完成。",
			Button: "重新登录", Instruction: "请过一会儿再打开这个页面。"},
		en: pageText{Title: "WeChat is not answering", Sentence: "WeChat gave no usable answer, so this login was not finished.",
			Button: "Log in again", Instruction: "Open this page again a little later."}},
	pageWeChatMisconfigured: {tone: pageToneStop,
		zh: pageText{Title: "登录暂时不可用", Sentence: "这个网站的微信登录设置有误，不是你的问题。",
			Button: "再试一次", Instruction: "请把下面的请求编号告诉客服。"},
		en: pageText{Title: "Login is not available", Sentence: "WeChat login is not set up correctly on this site; it is not your fault.",
			Button: "Try again", Instruction: "Please give the request ID below to the support of this site."}},
	pageStoreUnavailable: {tone: pageToneWaiting,
		zh: pageText{Title: "暂时无法确认登录", Sentence: "系统现在读不到登录信息；已经登录的人不会因此退出。",
			Button: "再试一次", Instruction: "请过一会儿再打开这个页面。"},
		en: pageText{Title: "Your login cannot be checked", Sentence: "The login records cannot be read right now; nobody who is logged in is logged out by this.",
			Button: "Try again", Instruction: "Open this page again a little later."}},
	pageQRFrame: {tone: pageToneInfo,
		zh: pageText{Title: "用微信扫码登录", Sentence: "用手机微信的「扫一扫」扫描二维码，再在手机上确认。",
			Button: "换一个二维码，重新开始", Instruction: "请在电脑的浏览器里重新打开这个页面。"},
		en: pageText{Title: "Scan to log in", Sentence: "Scan the QR code with WeChat on your phone, then confirm there.",
			Button: "Start again with a new QR code", Instruction: "Open this page again in a browser on a computer."}},
	pageQRPair: {tone: pageToneInfo,
		zh: pageText{Title: "用微信扫码登录", Sentence: "用手机微信的「扫一扫」扫描二维码，再在手机上确认。",
			Button: "换一个二维码", Instruction: "手机上请选择这个数字"},
		en: pageText{Title: "Scan to log in", Sentence: "Scan the QR code with WeChat on your phone, then confirm there.",
			Button: "Get a new QR code", Instruction: "On your phone, choose this number"}},
	pagePairConfirm: {tone: pageToneWarn,
		zh: pageText{Title: "确认在电脑上登录？", Sentence: "只有你自己正在电脑前登录，才选择确认。别人发来的二维码，请拒绝。",
			Button: "确认登录", Instruction: "请选择电脑上显示的数字"},
		en: pageText{Title: "Log in on a computer?", Sentence: "Confirm only if you are at that computer yourself. Refuse if somebody sent you the QR code.",
			Button: "Confirm login", Instruction: "Choose the number that the computer shows"}},
	pagePairDone: {tone: pageToneOK,
		zh: pageText{Title: "已确认", Sentence: "电脑上马上就会登录。",
			Button: "返回首页", Instruction: "现在可以关闭这个页面了。"},
		en: pageText{Title: "Confirmed", Sentence: "The computer is being logged in.",
			Button: "Go to the start page", Instruction: "You can close this page now."}},
	pagePairRefused: {tone: pageToneStop,
		zh: pageText{Title: "已拒绝", Sentence: "电脑没有登录，你的账号没有被使用。",
			Button: "返回首页", Instruction: "现在可以关闭这个页面了。不要扫描别人发来的登录二维码。"},
		en: pageText{Title: "Refused", Sentence: "The computer was not logged in and your account was not used.",
			Button: "Go to the start page", Instruction: "You can close this page now. Do not scan login codes that others send you."}},
	pagePairMistaken: {tone: pageToneStop,
		zh: pageText{Title: "数字不一致", Sentence: "为了安全，这次登录已经拒绝，电脑没有登录。",
			Button: "返回首页", Instruction: "如果是你自己在登录，请在电脑上换一个二维码，再扫一次。"},
		en: pageText{Title: "That was another number", Sentence: "To be safe, this login was refused and the computer was not logged in.",
			Button: "Go to the start page", Instruction: "If it is you who logs in, get a new QR code on the computer and scan again."}},
	pagePairOver: {tone: pageToneWarn,
		zh: pageText{Title: "二维码已失效", Sentence: "这个二维码已经用过，或者过期了。",
			Button: "返回首页", Instruction: "请在电脑上换一个二维码，再扫一次。"},
		en: pageText{Title: "This QR code is over", Sentence: "The QR code was used before or has expired.",
			Button: "Go to the start page", Instruction: "Get a new QR code on the computer and scan again."}},
	pagePairExpired: {tone: pageToneWaiting,
		zh: pageText{Title: "二维码已过期", Sentence: "两分钟内没有完成登录。",
			Button: "换一个二维码", Instruction: "请回到最初的页面，重新进入。"},
		en: pageText{Title: "The QR code has expired", Sentence: "The login was not finished within two minutes.",
			Button: "Get a new QR code", Instruction: "Go back to the page you came from and enter again."}},
	pagePairDenied: {tone: pageToneStop,
		zh: pageText{Title: "登录没有完成", Sentence: "手机上没有同意这次登录。",
			Button: "换一个二维码", Instruction: "请回到最初的页面，重新进入。"},
		en: pageText{Title: "Login not finished", Sentence: "The phone did not agree to this login.",
			Button: "Get a new QR code", Instruction: "Go back to the page you came from and enter again."}},
	pageInternal: {tone: pageToneWarn,
		zh: pageText{Title: "出了点问题", Sentence: "我们这边发生了意外，不是你的操作造成的。",
			Button: "再试一次", Instruction: "请稍后再试；如果一直这样，请把下面的请求编号告诉客服。"},
		en: pageText{Title: "Something went wrong", Sentence: "Something unexpected happened on our side; it is not your fault.",
			Button: "Try again", Instruction: "Try again later; if it keeps happening, give the request ID below to support."}},
}
