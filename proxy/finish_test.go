package proxy

import (
	"net/http"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

const (
	saysRefused = "WeChat did not accept the code"
	saysNotAsk  = "a login was not finished: WeChat could not be asked about its code"
	saysPerson  = "WeChat does not let this person log in"
)

// said checks that the log has one of the sentences about a failed exchange.
func (w *world) said(t *testing.T, want string) {
	t.Helper()
	log := w.log.String()
	for _, sentence := range []string{saysRefused, saysNotAsk, saysPerson} {
		if strings.Contains(log, `"msg":"`+sentence+`"`) != (sentence == want) {
			t.Errorf("want %q in %s", want, log)
		}
	}
}

// Why a code was not exchanged is told apart: WeChat's word about the code, its
// word about the person, and everything that kept it from being asked.
func TestLogOfFailedExchanges(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault wechattest.Fault
		want  string
	}{
		"code":   {wechattest.Fault{Errcode: 40029, Times: -1}, saysRefused},
		"used":   {wechattest.Fault{Errcode: 40163, Times: -1}, saysRefused},
		"person": {wechattest.Fault{Errcode: 40226}, saysPerson},
		"busy":   {wechattest.Busy, saysNotAsk},
		"secret": {wechattest.Fault{Errcode: 40125}, saysNotAsk},
		"away":   {wechattest.Fault{Drop: true}, saysNotAsk},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			b := w.browser(iPhone)
			w.wechat.Inject(wechattest.AccessTokenPath, tt.fault)
			b.open("/room/7")
			w.said(t, tt.want)
		})
	}
}

// Without a ticket there is no token of the platform's, and the code is not shown to
// WeChat at all.
func TestLogOfComponentLoginWithoutTicket(t *testing.T) {
	t.Parallel()
	w := newTicketless(t, 1)
	w.browser(iPhone).open("/room/7").page(t, http.StatusServiceUnavailable, pageWeChatUnavailable)
	w.said(t, saysNotAsk)
}
