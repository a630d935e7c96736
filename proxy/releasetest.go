package proxy

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"wxgate/wechat"
)

// Before accounts other than those on its list may authorize a third-party
// platform, WeChat tests it (全网发布检测): one of ten accounts of WeChat's own
// authorizes it and writes to it, and expects certain answers within five seconds.
// The app is not asked; nobody else is answered so.
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html

// releaseAccounts are these accounts: original ids by appid, official accounts and
// mini programs in pairs. Which pair comes is drawn at random.
var releaseAccounts = map[string]string{
	"wx570bc396a51b8ff8": "gh_3c884a361561", "wxd101a85aa106f53e": "gh_8dad206e9538",
	"wx9252c5e0bb1836fc": "gh_c0f28a78b318", "wxc39235c15087f6f3": "gh_905ae9d01059",
	"wx8e1097c5bc82cde9": "gh_3f222ed8d140", "wx7720d01d4b2a4500": "gh_393666f1fdf4",
	"wx14550af28c71a144": "gh_26128078e9ab", "wx05d483572dcd5d8b": "gh_39abb5d4e1b7",
	"wxa35b9c23cfe664eb": "gh_2b3713f184a6", "wx5910277cae6fd970": "gh_7818dcb60240",
}

const (
	releaseText  = "TESTCOMPONENT_MSG_TYPE_TEXT"
	releaseQuery = "QUERY_AUTH_CODE:"
)

// isReleaseTest reports that a message is for one of WeChat's test accounts. Path
// and message have to agree on which.
func isReleaseTest(appID string, m wechat.Message) bool {
	original, known := releaseAccounts[appID]
	return known && original == m.ToUserName
}

// testerForm is an openid. It goes into an answer, so it must be no markup.
var testerForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

func (t *thirdParty) releaseTest(v *visit, appID string, e wechat.Envelope, m wechat.Message) {
	content := ""
	if m.MsgType == "text" {
		content = strings.TrimSpace(m.Field("Content"))
	}
	code, asked := strings.CutPrefix(content, releaseQuery)
	event := plainWord(m.Event)
	t.s.log.Info("WeChat's release test is answered", "id", v.id, "appid", appID, "event", event)
	switch {
	case !testerForm.MatchString(m.FromUserName):
		t.acknowledge(v)
	case asked && plausibleCode(code):
		// The answer proper is a customer-service message.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), heedLimit)
		defer cancel()
		if err := t.platform.ReplyLater(ctx, appID, m.FromUserName, code); err != nil {
			t.refuse(v, err)
			return
		}
		t.answer(v, plainText, nil)
	case content == releaseText:
		t.reply(v, e, textReply(m, content+"_callback", t.s.now()))
	case event != "" && event != "?":
		t.reply(v, e, textReply(m, event+"from_callback", t.s.now()))
	default:
		t.acknowledge(v)
	}
}

// textReply is a text to whoever sent a message. Names and content are letters and
// digits, "_" and "-".
func textReply(m wechat.Message, content string, at time.Time) []byte {
	return fmt.Appendf(nil, "<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName>"+
		"<CreateTime>%d</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content></xml>",
		m.FromUserName, m.ToUserName, at.Unix(), content)
}
