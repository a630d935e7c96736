package main

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"wxgate/cmd/wxgate/clawmachine"
	"wxgate/wechat/wechattest"
)

const (
	demoPage          = "/demo/"
	demoSwitchPath    = "/demo/switch"
	authorizePages    = "/.wxgate/component/"
	demoVisitorCookie = "demo_visitor"
	demoClientCookie  = "demo_client"
)

// switchVisitor keeps the choices in cookies and sends the form on to logout:
// the next page visit logs the new visitor in. Cookies do not tell ports
// apart, so the simulated WeChat sees them as well.
func (d *demoWorld) switchVisitor(w http.ResponseWriter, r *http.Request) {
	set := func(name, value string) {
		if value != "" {
			http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", SameSite: http.SameSiteLaxMode})
		}
	}
	visitor, client := r.FormValue("visitor"), r.FormValue("client")
	set(demoVisitorCookie, visitor)
	set(wechattest.PlayerCookie, visitor)
	set(demoClientCookie, client)
	http.SetCookie(w, &http.Cookie{Name: wechattest.FullCookie, Path: "/", MaxAge: -1})
	d.sim.Set(func(b *wechattest.Behaviour) {
		b.DoubleCallback = wechattest.DoubleAsWeChat
		if client == demoDouble {
			b.DoubleCallback = wechattest.DoubleOtherCode
		}
	})
	http.Redirect(w, r, "/.wxgate/logout?next=/", http.StatusTemporaryRedirect)
}

var switchPage = template.Must(template.New("switch").Parse(`<!doctype html>
<html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>wxgate demo · 换一个访客</title>
<style>
body{font:16px/1.6 system-ui,"PingFang SC",sans-serif;max-width:26rem;margin:6vh auto;padding:0 1.5rem;color:#1d1d1f;background:#fff8f1}
label{display:block;margin:1.2rem 0 .3rem;color:#6e6e73}
select,button{width:100%;font:inherit;padding:.7rem;border-radius:.8rem;border:1px solid #e5d5c5;background:#fff;color:inherit}
h1{margin:0}h2{font-size:1rem;margin:2rem 0 0}
.story{margin-top:.7rem}
button{margin-top:1.6rem;border:0;background:#f25c5c;color:#fff;font-weight:600}
</style>
<h1>换一个访客</h1>
<p>wxgate demo: the usual ways in. Each logs out and comes back as somebody else.</p>
{{range .Stories}}<form method="post" action="{{$.Action}}"><input type="hidden" name="visitor" value="{{.Visitor}}"><input type="hidden" name="client" value="{{.Client}}"><button class="story">{{.Label}}</button></form>
{{end}}
<p><a href="/demo/people">一个人，两台设备：看两个用户合并 · see two users become one</a></p>
<p><a href="/demo/platform">第三方平台：当一次运营者 · be the operator of a third-party platform</a></p>
<h2>或者自己选 · or choose</h2>
<form method="post" action="{{.Action}}">
<label for="visitor">谁来了 Visitor</label><select id="visitor" name="visitor">{{range .Visitors}}<option value="{{.Value}}">{{.Label}}</option>{{end}}</select>
<label for="client">用什么打开 Client</label><select id="client" name="client">{{range .Clients}}<option value="{{.Value}}">{{.Label}}</option>{{end}}</select>
<button>切换 Switch</button>
</form>
`))

// demoStory is a visitor with a client, as one button.
type demoStory struct{ Label, Visitor, Client string }

var demoStories = []demoStory{
	{"iPhone 微信 · as iPhone", "xiaomei", "iphone"},
	{"Android，回调两次 · as Android with double callback", "xiaomei", demoDouble},
	{"电脑扫码 · as a PC", "xiaomei", "pc"},
	{"快照页访客 · as a snapshot visitor", "snapshot", "iphone"},
	{"小程序 · as a mini program", "xiaomei", "mini"},
}

func serveSwitchPage(w http.ResponseWriter, choices clawmachine.Switcher) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	switchPage.Execute(w, struct {
		clawmachine.Switcher
		Stories []demoStory
	}{choices, demoStories})
}

// withWayOut adds to the gateway's own pages a link to the demo's switch: who
// plays a visitor that is not let in would never see the app's switch again.
// The app's pages pass untouched; ours are the ones that carry a request id.
func withWayOut(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &ownPage{ResponseWriter: w, platform: strings.HasPrefix(r.URL.Path, authorizePages)}
		next.ServeHTTP(out, r)
		out.finish()
	})
}

// ownPage holds a page of the gateway back until it is whole; everything else
// goes straight through.
type ownPage struct {
	http.ResponseWriter
	status int
	held   bytes.Buffer
	ours   bool
	// platform is for whom an administrator who authorizes plays: the operator.
	platform bool
}

func (p *ownPage) WriteHeader(status int) {
	h := p.Header()
	if p.status == 0 && status >= 200 && h.Get("X-Request-Id") != "" && strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		p.ours, p.status = true, status
		return
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *ownPage) Write(b []byte) (int, error) {
	if p.ours {
		return p.held.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

// Unwrap lets upgrades and flushes of the app's answers through.
func (p *ownPage) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *ownPage) finish() {
	if !p.ours {
		return
	}
	to, words, class := demoPage, "演示：换一个访客 · demo: be somebody else", "quiet"
	if p.platform {
		to, words = platformPage, "演示：回到第三方平台 · back to the platform"
		if !bytes.Contains(p.held.Bytes(), []byte(`class="button"`)) {
			class = "button" // it is the only way on
		}
	}
	link := []byte(`<p class="note"><a class="` + class + `" href="` + to + `">` + words + `</a></p></main>`)
	body := bytes.Replace(p.held.Bytes(), []byte("</main>"), link, 1)
	p.Header().Set("Content-Length", strconv.Itoa(len(body)))
	p.ResponseWriter.WriteHeader(p.status)
	p.ResponseWriter.Write(body)
}
