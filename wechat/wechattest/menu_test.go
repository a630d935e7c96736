package wechattest_test

import (
	"net/http"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

// accountToken is a server token of the service account.
func accountToken(t *testing.T, s *wechattest.Server) string {
	t.Helper()
	token := ask(t, s, wechattest.StableTokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret).text("access_token")
	if token == "" {
		t.Fatal("no server token")
	}
	return token
}

// send posts a body.
func send(t *testing.T, s *wechattest.Server, path, token, body string) reply {
	t.Helper()
	res, err := http.Post(s.URL+path+"?access_token="+token, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

func TestMenu(t *testing.T) {
	s := start(t)
	token := accountToken(t, s)
	get := func() reply {
		t.Helper()
		return ask(t, s, wechattest.MenuGetPath, "access_token", token)
	}
	if r := get(); r.errcode() != 46003 || !strings.HasPrefix(r.text("errmsg"), "menu no exist, rid: ") {
		t.Errorf("no menu: %s", r.raw)
	}
	body := `{"button":[{"type":"view","name":"店","url":"http://x.example/?a=1&b=2"},{"name":"更多","sub_button":[{"type":"click","name":"x","key":"k"}]}]}`
	if r := send(t, s, wechattest.MenuCreatePath, token, body); r.raw != `{"errcode":0,"errmsg":"ok"}` || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("create: %s", r.raw)
	}
	if sent, found := s.Menu(appid); !found || string(sent) != body {
		t.Errorf("kept: %s", sent)
	}
	want := `{"menu":{"button":[{"type":"view","name":"店","url":"http://x.example/?a=1&b=2","sub_button":[]},{"name":"更多","sub_button":[{"type":"click","name":"x","key":"k","sub_button":[]}]}]}}`
	if r := get(); r.raw != want {
		t.Errorf("get: %s", r.raw)
	}
	if r := ask(t, s, wechattest.MenuDeletePath, "access_token", token); r.raw != `{"errcode":0,"errmsg":"ok"}` {
		t.Errorf("delete: %s", r.raw)
	}
	if r := get(); r.errcode() != 46003 {
		t.Errorf("after delete: %s", r.raw)
	}
	if _, found := s.Menu(appid); found {
		t.Error("kept after delete")
	}
	for want, r := range map[int]reply{
		40001: send(t, s, wechattest.MenuCreatePath, "x", body),
		41001: send(t, s, wechattest.MenuCreatePath, "", body),
		43002: ask(t, s, wechattest.MenuCreatePath, "access_token", token),
		43001: send(t, s, wechattest.MenuGetPath, token, body),
	} {
		if r.errcode() != want {
			t.Errorf("%s, want %d", r.raw, want)
		}
	}
	s.AddApp(wechattest.App{ID: appid, Secret: secret, Kind: wechattest.MiniProgram})
	for _, r := range []reply{send(t, s, wechattest.MenuCreatePath, token, body), get(), ask(t, s, wechattest.MenuDeletePath, "access_token", token)} {
		if r.errcode() != 48001 {
			t.Errorf("mini program: %s", r.raw)
		}
	}
}

func TestMenuChecks(t *testing.T) {
	s := start(t)
	token := accountToken(t, s)
	long := strings.Repeat("x", 1025)
	click := `{"type":"click","name":"x","key":"k"}`
	top := func(b string) string { return `{"button":[` + b + `]}` }
	sub := func(b string) string { return top(`{"name":"x","sub_button":[` + b + `]}`) }
	for body, want := range map[string]int{
		"": 44002, "{": 47001, `{"button":1}`: 47001, "{}": 40016, `{"button":[]}`: 40016,
		top(strings.Repeat(click+",", 3) + click):                                                      40016,
		sub(strings.Repeat(click+",", 5) + click):                                                      40023,
		sub(`{"name":"y","sub_button":[` + click + `]}`):                                               40022,
		top(`{"type":"click","name":"\u0078","key":"k"}`):                                              40033,
		top(`{"type":"view","name":"x","url":"http://x.example/?a\u0026b"}`):                           40033,
		top(`{"type":"click","name":"` + long[:17] + `","key":"k"}`):                                   40018,
		top(`{"type":"click","name":"","key":"k"}`):                                                    40018,
		sub(`{"type":"click","name":"` + long[:61] + `","key":"k"}`):                                   40025,
		top(`{"type":"x","name":"x"}`):                                                                 40017,
		top(`{"name":"x"}`):                                                                            40017,
		top(`{"type":"click","name":"x","key":"k","sub_button":[` + click + `]}`):                      40017,
		sub(`{"type":"x","name":"x"}`):                                                                 40024,
		top(`{"type":"click","name":"x"}`):                                                             40019,
		top(`{"type":"scancode_push","name":"x","key":"` + long[:129] + `"}`):                          40019,
		sub(`{"type":"click","name":"x"}`):                                                             40026,
		top(`{"type":"view","name":"x"}`):                                                              40020,
		sub(`{"type":"view","name":"x"}`):                                                              40027,
		sub(`{"type":"view","name":"x","url":"` + long + `"}`):                                         40027,
		top(`{"type":"miniprogram","name":"x","appid":"wx286b93c14bbf93aa","pagepath":"p"}`):           40020,
		top(`{"type":"miniprogram","name":"x","url":"http://x","pagepath":"p"}`):                       40166,
		top(`{"type":"miniprogram","name":"x","url":"http://x","appid":"wx286b93c14bbf93aa"}`):         40165,
		top(`{"type":"media_id","name":"x"}`):                                                          40007,
		top(`{"type":"view_limited","name":"x"}`):                                                      40007,
		top(`{"type":"article_id","name":"x"}`):                                                        53600,
		top(`{"type":"article_view_limited","name":"x"}`):                                              53600,
		top(`{"type":"article_id","name":"x","article_id":"a"}`):                                       0,
		top(`{"type":"media_id","name":"x","media_id":"a"}`):                                           0,
		sub(strings.Repeat(click+",", 4) + `{"type":"view","name":"` + long[:60] + `","url":"u"}`):     0,
		top(`{"type":"miniprogram","name":"x","url":"u","appid":"wx286b93c14bbf93aa","pagepath":"p"}`): 0,
	} {
		if r := send(t, s, wechattest.MenuCreatePath, token, body); r.errcode() != want {
			t.Errorf("%.100s: %s, want %d", body, r.raw, want)
		}
		before, _ := s.Menu(appid)
		if want == 0 && string(before) != body {
			t.Errorf("not kept: %s", body)
		}
	}
	if r := send(t, s, wechattest.MenuCreatePath, token, sub(`{"type":"view","name":"x"}`)); !strings.HasPrefix(r.text("errmsg"), "invalid sub button url size, rid: ") {
		t.Errorf("text %s", r.raw)
	}
	s.Inject(wechattest.MenuCreatePath, wechattest.Fault{Errcode: 40018})
	if r := send(t, s, wechattest.MenuCreatePath, token, top(click)); r.errcode() != 40018 {
		t.Errorf("fault: %s", r.raw)
	}
	calls := s.Calls(wechattest.MenuCreatePath)
	if last := calls[len(calls)-1]; last.Errcode != 40018 || last.Result != "errcode" {
		t.Errorf("journal: %d, %s", last.Errcode, last.Result)
	}
}
