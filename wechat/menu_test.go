package wechat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// oneOfEach has every type of button, and the limits of the names.
const oneOfEach = `{"button":[
	{"name":"十六字节名x","sub_button":[
		{"type":"click","name":"今日歌曲","key":"V1001_TODAY_MUSIC","sub_button":[]},
		{"type":"view","name":"商店<&>","url":"https://shop.example/?a=1&b=商店#<x>"},
		{"type":"miniprogram","name":"小程序","url":"http://mp.weixin.qq.com","appid":"wx286b93c14bbf93aa","pagepath":"pages/lunar/index"},
		{"type":"scancode_waitmsg","name":"扫码带提示","key":"k"},
		{"type":"scancode_push","name":"扫码推事件","key":"k"}]},
	{"name":"2","sub_button":[
		{"type":"pic_sysphoto","name":"拍照","key":"k"},
		{"type":"pic_photo_or_album","name":"拍照或相册","key":"k"},
		{"type":"pic_weixin","name":"相册","key":"k"},
		{"type":"location_select","name":"位置","key":"k"},
		{"type":"media_id","name":"图片","media_id":"MEDIA_ID1"}]},
	{"name":"3","sub_button":[
		{"type":"view_limited","name":"图文","media_id":"MEDIA_ID2"},
		{"type":"article_id","name":"文章","article_id":"ARTICLE_ID1"},
		{"type":"article_view_limited","name":"文章","article_id":"ARTICLE_ID2"}]}]}`

func parseMenu(t *testing.T, text string) wechat.Menu {
	t.Helper()
	m, err := wechat.ParseMenu([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParseMenu(t *testing.T) {
	m := parseMenu(t, oneOfEach)
	if n := len(m.Buttons); n != 3 {
		t.Fatalf("%d buttons", n)
	}
	want := wechat.Button{
		Type: "miniprogram", Name: "小程序", URL: "http://mp.weixin.qq.com",
		AppID: "wx286b93c14bbf93aa", PagePath: "pages/lunar/index",
	}
	if diff := cmp.Diff(want, m.Buttons[0].SubButtons[2]); diff != "" {
		t.Error(diff)
	}
	if m := parseMenu(t, " {\"button\" : [ ] }\n"); m.Buttons == nil || len(m.Buttons) != 0 {
		t.Errorf("no menu: %+v", m)
	}
	click := func(name, key string) string {
		return fmt.Sprintf(`{"button":[{"type":"click","name":%q,"key":%q}]}`, name, key)
	}
	parseMenu(t, click(strings.Repeat("x", 16), strings.Repeat("k", 128)))
	parseMenu(t, `{"button":[{"name":"x","sub_button":[{"type":"view","name":"`+strings.Repeat("名", 20)+`","url":"https://`+strings.Repeat("x", 1016)+`"}]}]}`)
	parseMenu(t, `{"button":[{"type":"click","name":"\u540d\ud83c\udfae","key":"k"}]}`)
}

func TestParseMenuFaults(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name, menu string
		want       []string
	}{
		{"nothing", ``, []string{"not JSON: unexpected end of JSON input"}},
		{"not JSON", `{"button":[}`, []string{"not JSON: invalid character '}' looking for beginning of value"}},
		{"something after it", `{"button":[]}{}`, []string{"not JSON: invalid character '{' after top-level value"}},
		{"not UTF-8", "{\"button\":[{\"name\":\"\xff\"}]}", []string{"not UTF-8"}},
		{"too long", `{"button":[]}` + strings.Repeat(" ", 128<<10), []string{"131085 bytes, more than 131072"}},
		{"not an object", `[]`, []string{"not a JSON object"}},
		{"null", `null`, []string{"not a JSON object"}},
		{"no button", `{}`, []string{"button: missing; [] means no menu"}},
		{"null for button", `{"button":null}`, []string{"button: not an array"}},
		{"an object for button", `{"button":{}}`, []string{"button: not an array"}},
		{"another case", `{"Button":[]}`, []string{`unknown field "Button"`, "button: missing; [] means no menu"}},
		{"as menu/get has it", `{"menu":{"button":[]}}`, []string{`unknown field "menu"`, "button: missing; [] means no menu"}},
		{"for some only", `{"button":[],"matchrule":{}}`, []string{`unknown field "matchrule"`}},
		{"button twice", `{"button":[],"button":[]}`, []string{"button: given twice"}},
		{"four", `{"button":[` + strings.Repeat(`{"type":"click","name":"x","key":"k"},`, 3) + `{"type":"click","name":"x","key":"k"}]}`, []string{"button: 4 buttons, WeChat takes 3"}},
		{"six below", `{"button":[{"name":"x","sub_button":[` + strings.Repeat(`{"type":"click","name":"x","key":"k"},`, 5) + `{"type":"click","name":"x","key":"k"}]}]}`,
			[]string{"button[0].sub_button: 6 buttons, WeChat takes 5"}},
		{"not a button", `{"button":[1,{"type":"click","name":"x","key":"k"},null]}`, []string{"button[0]: not an object", "button[2]: not an object"}},
		{"an empty button", `{"button":[{}]}`, []string{"button[0].name: missing or blank", "button[0].type: missing, and so is sub_button"}},
		{"no second level", `{"button":[{"name":"x","sub_button":[]}]}`, []string{"button[0].type: missing, and so is sub_button"}},
		{"no array of buttons", `{"button":[{"name":"x","sub_button":{}}]}`, []string{"button[0].sub_button: not an array"}},
		{"null array of buttons", `{"button":[{"name":"x","sub_button":null}]}`, []string{"button[0].sub_button: not an array"}},
		{"type and sub_button", `{"button":[{"type":"click","name":"x","key":"k","sub_button":[{"type":"click","name":"x","key":"k"}]}]}`,
			[]string{"button[0]: type and sub_button exclude each other"}},
		{"third level", `{"button":[{"name":"x","sub_button":[{"name":"y","sub_button":[{"type":"click","name":"x","key":"k"}]}]}]}`,
			[]string{"button[0].sub_button[0].sub_button: a third level"}},
		{"nobody looks below that", `{"button":[{"name":"x","sub_button":[{"name":"y","sub_button":[{"x":1,"sub_button":[1]}]}]}]}`,
			[]string{"button[0].sub_button[0].sub_button: a third level"}},
		{"unknown type", `{"button":[{"type":"clique","name":"x"}]}`, []string{`button[0].type: unknown type "clique"`}},
		{"unknown fields", `{"button":[{"type":"click","name":"x","key":"k","Key":"k","colour":1}]}`,
			[]string{`button[0]: unknown field "Key"`, `button[0]: unknown field "colour"`}},
		{"fields twice", `{"button":[{"type":"click","name":"x","key":"k","key":"l","sub_button":[],"sub_button":[]}]}`,
			[]string{"button[0].key: given twice", "button[0].sub_button: given twice"}},
		{"not strings", `{"button":[{"type":1,"name":["x"],"key":null}]}`,
			[]string{"button[0].type: not a string", "button[0].name: not a string", "button[0].key: not a string"}},
		{"long names", `{"button":[{"name":"十六个字节的名字","sub_button":[{"type":"click","name":"` + long(61) + `","key":"k"}]}]}`,
			[]string{"button[0].name: 24 bytes, WeChat takes 16", "button[0].sub_button[0].name: 61 bytes, WeChat takes 60"}},
		{"blank name", `{"button":[{"type":"click","name":" \u3000","key":"k"}]}`, []string{"button[0].name: missing or blank"}},
		{"long key", `{"button":[{"type":"click","name":"x","key":"` + long(129) + `"}]}`, []string{"button[0].key: 129 bytes, WeChat takes 128"}},
		{"long url", `{"button":[{"type":"view","name":"x","url":"https://` + long(1017) + `"}]}`, []string{"button[0].url: 1025 bytes, WeChat takes 1024"}},
		{"limits hold whatever the type", `{"button":[{"type":"view","name":"x","url":"https://a.example","key":"` + long(129) + `"}]}`,
			[]string{"button[0].key: 129 bytes, WeChat takes 128"}},
		{"control characters", `{"button":[{"type":"click","name":"a\u0000b","key":"\u2028"},{"type":"media_id","name":"x","media_id":"\n"},{"type":"click","name":"\ud800","key":"k"}]}`,
			[]string{"button[0].name: contains control characters or broken UTF-8", "button[0].key: contains control characters or broken UTF-8",
				"button[1].media_id: contains control characters or broken UTF-8", "button[2].name: contains control characters or broken UTF-8"}},
		{"no addresses", `{"button":[{"name":"x","sub_button":[` +
			`{"type":"view","name":"x","url":"shop.example"},{"type":"view","name":"x","url":"javascript:alert(1)"},{"type":"view","name":"x","url":"https://"},` +
			`{"type":"view","name":"x","url":"https://a.example/b c"},{"type":"miniprogram","name":"x","url":"weixin://x","appid":"wx286b93c14bbf93aa","pagepath":"p"}]}]}`,
			[]string{"button[0].sub_button[0].url: not an http or https address", "button[0].sub_button[1].url: not an http or https address",
				"button[0].sub_button[2].url: not an http or https address", "button[0].sub_button[3].url: not an http or https address",
				"button[0].sub_button[4].url: not an http or https address"}},
		{"a path that browsers read otherwise", `{"button":[{"type":"view","name":"x","url":"https://a.example/\\b"}]}`, []string{"button[0].url: not an http or https address"}},
		{"several at once", `{"button":[{"type":"view","name":"` + long(17) + `"},{"name":"y","sub_button":[{"type":"view","name":"","url":"ftp://x"},{"type":"view","name":"z"}]}],"x":1}`,
			[]string{`unknown field "x"`, "button[0].name: 17 bytes, WeChat takes 16", "button[0].url: missing, a button of type view needs it",
				"button[1].sub_button[0].name: missing or blank", "button[1].sub_button[0].url: not an http or https address",
				"button[1].sub_button[1].url: missing, a button of type view needs it"}},
	}
	for typ, needs := range map[string][]string{
		"click": {"key"}, "scancode_push": {"key"}, "scancode_waitmsg": {"key"}, "pic_sysphoto": {"key"},
		"pic_photo_or_album": {"key"}, "pic_weixin": {"key"}, "location_select": {"key"}, "view": {"url"},
		"miniprogram": {"url", "appid", "pagepath"}, "media_id": {"media_id"}, "view_limited": {"media_id"},
		"article_id": {"article_id"}, "article_view_limited": {"article_id"},
	} {
		var want []string
		for _, name := range needs {
			want = append(want, fmt.Sprintf("button[0].%s: missing, a button of type %s needs it", name, typ))
		}
		menu := fmt.Sprintf(`{"button":[{"type":%q,"name":"x"}]}`, typ)
		tests = append(tests, struct {
			name, menu string
			want       []string
		}{"bare " + typ, menu, want})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := wechat.ParseMenu([]byte(tt.menu))
			if diff := cmp.Diff(tt.want, faults(t, err)); diff != "" {
				t.Error(diff)
			}
			if m.Buttons != nil {
				t.Errorf("a menu beside an error: %+v", m)
			}
		})
	}
}

func faults(t *testing.T, err error) []string {
	t.Helper()
	e, ok := errors.AsType[*wechat.MenuError](err)
	if !ok {
		t.Fatalf("got %v, want a MenuError", err)
	}
	var texts []string
	for _, f := range e.Faults {
		texts = append(texts, f.String())
	}
	if want := "wechat: menu: " + strings.Join(texts, "; "); !strings.HasPrefix(e.Error(), want) {
		t.Errorf("text %q, want %q", e, want)
	}
	return texts
}

func TestMenuFaultsAreBounded(t *testing.T) {
	field := strings.Repeat("f", 1000)
	_, err := wechat.ParseMenu([]byte(`{"button":[` + strings.Repeat("1,", 150) + `1],"` + field + `":1}`))
	texts := faults(t, err)
	e, _ := errors.AsType[*wechat.MenuError](err)
	if len(texts) != 100 || e.More != 53 { // also the field, and that there are so many
		t.Errorf("%d faults, %d more", len(texts), e.More)
	}
	if !strings.HasSuffix(err.Error(), "; and 53 more") || strings.Contains(err.Error(), field[:50]) {
		t.Errorf("text %q", err)
	}
}

// A menu that was not read but made is judged alike, and sent no sooner.
func TestCheckMenu(t *testing.T) {
	click := wechat.Button{Type: "click", Name: "x", Key: "k"}
	m := wechat.Menu{Buttons: []wechat.Button{
		{Name: "x", SubButtons: []wechat.Button{{Name: "y", SubButtons: []wechat.Button{click}}}},
		{Name: "\xff", Type: "click", Key: "k"},
	}}
	want := []string{
		"button[0].sub_button[0].sub_button: a third level",
		"button[1].name: contains control characters or broken UTF-8",
	}
	if diff := cmp.Diff(want, faults(t, m.Check())); diff != "" {
		t.Error(diff)
	}
	if err := (wechat.Menu{}).Check(); err != nil {
		t.Error(err)
	}
	s, tokens := startServer(t)
	if diff := cmp.Diff(want, faults(t, tokens.SetMenu(t.Context(), app, m))); diff != "" {
		t.Error(diff)
	}
	if n := len(s.Journal()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestMenu(t *testing.T) {
	s, tokens := startServer(t)
	get := func() wechat.Menu {
		t.Helper()
		m, err := tokens.Menu(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	set := func(m wechat.Menu) {
		t.Helper()
		if err := tokens.SetMenu(t.Context(), app, m); err != nil {
			t.Fatal(err)
		}
	}
	wantNone := func() {
		t.Helper()
		if text, err := json.Marshal(get()); err != nil || string(text) != `{"button":[]}` {
			t.Errorf("no menu: %s, %v", text, err)
		}
	}
	wantNone()
	want := parseMenu(t, oneOfEach)
	set(want)
	sent, _ := s.Menu(appid)
	for _, text := range []string{`"name":"商店<&>"`, `?a=1&b=商店#<x>"`} {
		if !strings.Contains(string(sent), text) {
			t.Errorf("no %s in %s", text, sent)
		}
	}
	got := get()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}

	// What was got can be set, as it is and by way of JSON.
	set(got)
	if again, _ := s.Menu(appid); string(again) != string(sent) {
		t.Errorf("sent %s, then %s", sent, again)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	set(parseMenu(t, string(text)))
	if again, _ := s.Menu(appid); string(again) != string(sent) {
		t.Errorf("sent %s, then %s", sent, again)
	}

	set(wechat.Menu{})
	if _, found := s.Menu(appid); found {
		t.Error("the menu is still there")
	}
	wantNone()
	wantCalls(t, s, wechattest.StableTokenPath, 1)
	wantCalls(t, s, wechattest.MenuCreatePath, 3)
	wantCalls(t, s, wechattest.MenuDeletePath, 1)
}

// What WeChat says about a menu by menus for some followers, or invents, is left
// out rather than in the way.
func TestMenuOfSomeMore(t *testing.T) {
	s, tokens := startServer(t)
	s.Inject(wechattest.MenuGetPath, wechattest.Fault{Body: func([]byte) []byte {
		return []byte(`{"menu":{"button":[{"type":"click","name":"x","key":"k","sub_button":[],"new":{}}],"menuid":208396938},"conditionalmenu":[{}]}`)
	}})
	m, err := tokens.Menu(t.Context(), app)
	if err != nil || len(m.Buttons) != 1 || m.Buttons[0].Key != "k" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestVoidTokenOfMenuCalls(t *testing.T) {
	menu := parseMenu(t, oneOfEach)
	calls := map[string]func(*wechat.ServerTokens) error{
		wechattest.MenuGetPath:    func(tokens *wechat.ServerTokens) error { _, err := tokens.Menu(t.Context(), app); return err },
		wechattest.MenuCreatePath: func(tokens *wechat.ServerTokens) error { return tokens.SetMenu(t.Context(), app, menu) },
		wechattest.MenuDeletePath: func(tokens *wechat.ServerTokens) error { return tokens.SetMenu(t.Context(), app, wechat.Menu{}) },
	}
	for path, call := range calls {
		t.Run(path, func(t *testing.T) {
			s, tokens := startServer(t)
			if _, err := tokens.Token(t.Context(), app); err != nil {
				t.Fatal(err)
			}
			s.VoidServerToken(appid)
			if err := call(tokens); err != nil {
				t.Error(err)
			}
			wantCalls(t, s, path, 2)
			wantCalls(t, s, wechattest.StableTokenPath, 2)
			s.Inject(path, wechattest.Fault{Errcode: 42001, Times: -1})
			wantAPIError(t, call(tokens), 42001, wechat.KindToken)
			wantCalls(t, s, path, 4)
		})
	}
}

func TestMenuCallsThatFail(t *testing.T) {
	menu := parseMenu(t, oneOfEach)
	faults := []struct {
		name   string
		fault  wechattest.Fault
		status int
	}{
		{"a page", wechattest.HTML, 200},
		{"nothing", wechattest.Empty, 200},
		{"two megabytes", wechattest.Huge, 200},
		{"an empty object", wechattest.Fault{Body: func([]byte) []byte { return []byte(`{}`) }}, 200},
		{"errcode in words", wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"errcode":"zero"}`) }}, 200},
		{"no buttons in it", wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"menu":{}}`) }}, 200},
		{"an array for a menu", wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"menu":[]}`) }}, 200},
		{"a menu of numbers", wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"menu":{"button":[{"name":1}]}}`) }}, 200},
		{"status 502", wechattest.Fault{Status: 502}, 502},
		{"dropped", wechattest.Drop, 0},
	}
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			s, tokens := startServer(t)
			for _, path := range []string{wechattest.MenuGetPath, wechattest.MenuCreatePath, wechattest.MenuDeletePath} {
				fault := tt.fault
				fault.Times = -1
				s.Inject(path, fault)
			}
			m, err := tokens.Menu(t.Context(), app)
			wantUnavailable(t, err, tt.status)
			if m.Buttons != nil {
				t.Errorf("a menu beside an error: %+v", m)
			}
			wantUnavailable(t, tokens.SetMenu(t.Context(), app, menu), tt.status)
			wantUnavailable(t, tokens.SetMenu(t.Context(), app, wechat.Menu{}), tt.status)
		})
	}
	s, tokens := startServer(t)
	s.Inject(wechattest.MenuCreatePath, wechattest.Fault{Errcode: 40018})
	wantAPIError(t, tokens.SetMenu(t.Context(), app, menu), 40018, wechat.KindUnknown)
	s.AddApp(wechattest.App{ID: appid, Secret: secret, Kind: wechattest.MiniProgram})
	wantAPIError(t, tokens.SetMenu(t.Context(), app, menu), 48001, wechat.KindConfig)
	_, err := tokens.Menu(t.Context(), app)
	wantAPIError(t, err, 48001, wechat.KindConfig)
}

func TestMenuIsObserved(t *testing.T) {
	var seen []string
	s, c := start(t, wechat.Config{Observe: func(api, class string, _ time.Duration) { seen = append(seen, api+" "+class) }})
	tokens := wechat.NewServerTokens(c, nil)
	if err := tokens.SetMenu(t.Context(), app, parseMenu(t, oneOfEach)); err != nil {
		t.Fatal(err)
	}
	s.Inject(wechattest.MenuCreatePath, wechattest.Busy)
	tokens.SetMenu(t.Context(), app, parseMenu(t, oneOfEach))
	tokens.SetMenu(t.Context(), app, wechat.Menu{})
	tokens.Menu(t.Context(), app)
	want := []string{
		"cgi-bin/stable_token ok", "cgi-bin/menu/create ok", "cgi-bin/menu/create busy",
		"cgi-bin/menu/delete ok", "cgi-bin/menu/get unknown",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("observed %q", seen)
	}
}

// Whatever is accepted says the same when it is written and read again, and is
// written without escapes that WeChat would refuse.
func FuzzParseMenu(f *testing.F) {
	for _, seed := range []string{
		oneOfEach, `{"button":[]}`, `{"button":[{"name":"x","sub_button":[{"name":"y","sub_button":[{}]}]}]}`,
		`{"button":[{"type":"click","name":"\u003c\ud83c\udfae","key":"\u0026"}]}`, `{"button":[null,1,"",[],{"name":null}],"button":1}x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := wechat.ParseMenu(data)
		if err != nil {
			faults(t, err)
			return
		}
		var out strings.Builder
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(m); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ReplaceAll(out.String(), `\\`, ""), `\u`) {
			t.Errorf("escapes in %s", out.String())
		}
		again, err := wechat.ParseMenu([]byte(out.String()))
		if err != nil {
			t.Fatalf("%s: %v", out.String(), err)
		}
		if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
