package wechattest_test

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestMessagesOnBehalf(t *testing.T) {
	s, d := startPlatform(t)
	if _, err := s.PushTextOnBehalf(t.Context(), platform, appid, "aqiang", "x"); err == nil {
		t.Error("pushed for an account that did not authorize")
	}
	s.Grant(platform, appid)
	openid, account := s.OpenID("aqiang", appid), s.OriginalID(appid)
	p, err := s.PushTextOnBehalf(t.Context(), platform, appid, "aqiang", "你好 👋")
	got := d.last()
	if err != nil || p.Reply != "" || got.path != "/messages/"+appid || got.outer != account || got.openid != openid || got.tail != platform ||
		got.fields["FromUserName"] != openid || got.fields["Content"] != "你好 👋" {
		t.Errorf("%v, received %+v", err, got)
	}
	if e := last(t, s); e.Player != "aqiang" || e.AppID != appid || e.Result != "accepted" {
		t.Errorf("journal %+v", e)
	}
	if _, err := s.PushEventOnBehalf(t.Context(), platform, appid, "aqiang", wechattest.EventSubscribe); err != nil || d.last().fields["Event"] != "subscribe" {
		t.Error(err)
	}
	if i := playerOf(s, "aqiang"); !i.Follower {
		t.Error("no follower after subscribing")
	}
	for _, push := range []func() error{
		func() error { _, err := s.PushTextOnBehalf(t.Context(), platform, appid, "nobody", "x"); return err },
		func() error {
			_, err := s.PushEventOnBehalf(t.Context(), otherPlatform, appid, "aqiang", "x")
			return err
		},
	} {
		if push() == nil {
			t.Error("pushed")
		}
	}
	d.set(func(http.ResponseWriter, received) {}) // nothing is fine here, unlike for events
	if p, err := s.PushTextOnBehalf(t.Context(), platform, appid, "aqiang", "x"); err != nil || len(p.Attempts) != 1 {
		t.Error(err)
	}
	d.set(func(w http.ResponseWriter, _ received) { io.WriteString(w, "no XML") })
	if p, err := s.PushTextOnBehalf(t.Context(), platform, appid, "aqiang", "x"); err == nil || len(p.Attempts) != 1 {
		t.Errorf("nonsense: %+v", p)
	}
	d.set(func(w http.ResponseWriter, _ received) { w.WriteHeader(500) })
	if p, err := s.PushTextOnBehalf(t.Context(), platform, appid, "aqiang", "x"); err == nil || len(p.Attempts) != 3 {
		t.Errorf("status 500: %+v", p)
	}
}

func TestRepliesOnBehalf(t *testing.T) {
	s, d := startPlatform(t)
	s.Grant(platform, appid)
	openid, account := s.OpenID("aqiang", appid), s.OriginalID(appid)
	reply := "<xml><ToUserName>" + openid + "</ToUserName><FromUserName>" + account + "</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>好</Content></xml>"
	for _, tt := range []struct{ name, tail, message, want string }{
		{"good", platform, reply, ""},
		{"the account's tail", appid, reply, "another appid"},
		{"to somebody else", platform, strings.Replace(reply, openid, account, 1), "to the person"},
	} {
		d.set(func(w http.ResponseWriter, r received) {
			sealed := wechattest.SealFrame(aesKey, tt.message, tt.tail)
			io.WriteString(w, "<xml><Encrypt>"+sealed+"</Encrypt><MsgSignature>"+wechattest.PushSignature("sidecarToken2026", "1", r.nonce, sealed)+
				"</MsgSignature><TimeStamp>1</TimeStamp><Nonce>"+r.nonce+"</Nonce></xml>")
		})
		p, err := s.PushTextOnBehalf(t.Context(), platform, appid, "aqiang", "x")
		switch {
		case tt.want == "" && (err != nil || p.Reply != reply):
			t.Errorf("%s: %q, %v", tt.name, p.Reply, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func playerOf(s *wechattest.Server, id string) wechattest.Player {
	i := slices.IndexFunc(s.Players(), func(p wechattest.Player) bool { return p.ID == id })
	return s.Players()[i]
}
