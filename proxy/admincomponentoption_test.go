package proxy

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func jsonNumber(n int64) ([]byte, error) { return strconv.AppendInt(nil, n, 10), nil }

func TestAccountOptions(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 2)
	w.opTicket()
	w.opAuthorize(opShopID)
	at := "/admin/component/authorizers/" + opShopID + "/options/"
	for name, most := range map[string]int{"location_report": 2, "voice_recognize": 1, "customer_service": 1} {
		for value := range most + 1 {
			want := accountOption{name, fmt.Sprint(value)}
			var set, got accountOption
			o.into(&set, "PUT", at+name, `{"option_value":"`+want.Value+`"}`)
			o.into(&got, "GET", at+name, "")
			if set != want || got != want {
				t.Errorf("set %+v, got %+v, want %+v", set, got, want)
			}
			o.into(&set, "PUT", at+name, `{"option_name":"`+name+`","option_value":"`+want.Value+`"}`)
		}
		for body, text := range map[string]string{
			`{"option_value":"` + fmt.Sprint(most+1) + `"}`: fmt.Sprintf(`of "0" to "%d"`, most), `{"option_value":""}`: "option_value", `{}`: "option_value", `{"option_value":1}`: "option_value",
			`{"option_value":"0","option_name":"other"}`: "another one than in the path", `{"value":"0"}`: "unknown", ``: "too early",
		} {
			o.wants("PUT", at+name, body, 400, "bad_request", text)
		}
	}
	for _, name := range []string{"other", "Location_report", "%2e"} {
		o.wants("GET", at+name, "", 404, "not_found", "There is no such option")
		o.wants("PUT", at+name, `{"option_value":"0"}`, 404, "not_found", "There is no such option")
	}
	w.wechat.Inject(wechattest.SetAuthorizerOptionPath, wechattest.Fault{Errcode: 61025})
	o.wants("PUT", at+"voice_recognize", `{"option_value":"0"}`, 400, "bad_request", "errcode 61025. The option can only be read")
	w.wechat.Inject(wechattest.AuthorizerOptionPath, wechattest.Fault{Errcode: 61003})
	o.wants("GET", at+"voice_recognize", "", 404, "not_found", "errcode 61003. The account has not authorized")

	// WeChat is not asked in vain.
	nobody := "/admin/component/authorizers/" + opGameID + "/options/voice_recognize"
	o.wants("GET", nobody, "", 404, "not_found", "never authorized")
	o.wants("PUT", nobody, `{"option_value":"0"}`, 404, "not_found", "never authorized")
	w.opHears("unauthorized", w.clock.now().Add(time.Minute), "AuthorizerAppid", opShopID)
	o.wants("GET", at+"voice_recognize", "", 404, "not_found", "The account has not authorized this third-party platform, or not any more")
}
