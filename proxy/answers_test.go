package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"

	"wxgate/identity"
	"wxgate/yunxin/yunxintest"
)

const touristAnswer = `POST /dollsCatcher/tourist = {"code":200,"data":{"accid":"{{.Account}}","nickname":"{{.Name}}","imToken":"{{.Token}}"}}`

func answering(text string) option {
	return func(c *Config) {
		var err error
		if c.Answers, err = ParseAnswers(text); err != nil {
			panic(err)
		}
	}
}

func TestParseAnswers(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"\n  \n" + touristAnswer + "\r\n":  "",
		`GET /a={"a":"{{.User}}"}`:         "",
		`GET /a/ = ["{{.Openid}}", 1]`:     "",
		`GET /a = {"l":{{len .Name}}}`:     "",
		`GET /a = {"n":"{{html .Name}}"}`:  "gives no valid JSON",
		`GET /a = {"n":"{{print .Name}}"}`: "",
		`GET /a = {"n":"{{printf "%d|%q|%x|%#v" .Name .Name .Name .Name}}"}`:  "",
		`GET /a = {"all":"{{.}}{{printf "%+v" .}}"}`:                          "",
		`GET /a = {"n":"{{if .Avatar}}{{slice .Avatar 0 1}}{{end}}"}`:         "",
		`GET /a = {"k":{{if eq .Avatar ""}}null{{else}}"{{.Avatar}}"{{end}}}`: "",
		`/a = {}`:                                "line 1: want METHOD PATH = TEMPLATE",
		`GET /a`:                                 "line 1: want METHOD PATH = TEMPLATE",
		`GET /a {"x":"{{.User}}"}`:               "line 1: want METHOD PATH = TEMPLATE",
		`get /a = {}`:                            "line 1: get is not a method that is ever served (methods are upper case)",
		`CONNECT /a = {}`:                        "line 1: CONNECT is not a method that is ever served (methods are upper case)",
		`GET a = {}`:                             "line 1: the path must begin with /",
		`GET /.wxgate/me = {}`:                   "line 1: /.wxgate/ is the gateway's own",
		`GET /.WXGATE/me = {}`:                   "line 1: /.wxgate/ is the gateway's own",
		`GET /a%62 = {}`:                         "the path must be plain",
		`GET /a//b = {}`:                         "the path must be plain",
		"GET /a = {}\nGET /a = {}":               "line 2: GET /a is answered already",
		`GET /a = {"x":"{{.Nobody}}"}`:           "line 1: GET /a: template: answer:1:8",
		`GET /a = {"x":"{{.user}}"}`:             "line 1: GET /a: template: answer:1:8",
		`GET /a = {"x":"{{.User"}`:               "line 1: GET /a: template: answer:1",
		`GET /a = {"x":{{.User}}}`:               "gives no valid JSON",
		`GET /a = {"x":{{printf "%q" .User}}}`:   "gives no valid JSON",
		`GET /a = {"x":"{{js .User}}"}`:          "gives no valid JSON",
		`GET /a = {"x":"{{.User}}"`:              "gives no valid JSON",
		`GET /a = hello`:                         "gives no valid JSON",
		`GET /a = {{range 100000}}"long"{{end}}`: "longer than 65536 bytes",
		`GET /a = {{define "x"}}{{template "x"}}{{end}}{{template "x"}}`: "exceeded maximum template depth",
		"GET /a = {\nPOST /b = x\n\nPUT /c = {}":                         "line 1: GET /a: for a user whose values are \"\" it gives no valid JSON (values stand between quotes that the template writes)\nline 2: POST /b: ",
	} {
		_, err := ParseAnswers(text)
		if got := faultText(err); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\n got %q\nwant %q", text, got, want)
		}
		for line := range strings.SplitSeq(faultText(err), "\n") {
			if line != "" && !strings.HasPrefix(line, "line ") {
				t.Errorf("%s: a fault spreads over lines: %q", text, line)
			}
		}
	}
}

func faultText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNeedsYunxin(t *testing.T) {
	for text, want := range map[string]bool{
		touristAnswer: true, `GET /a = {"k":"{{.AppKey}}"}`: true, `GET /a = {"k":"{{if .Name}}{{.Account}}{{end}}"}`: true,
		`GET /a = {"n":"{{.Name}}","t":".Token"}`: false, "": false,
	} {
		if a, err := ParseAnswers(text); err != nil || a.NeedsYunxin() != want {
			t.Errorf("%s: %v %v", text, a.NeedsYunxin(), err)
		}
	}
	if _, err := New(Config{ForwardAuth: true, Answers: parsedWell(ParseAnswers(touristAnswer))}); err == nil || !strings.Contains(err.Error(), "Yunxin") {
		t.Errorf("an answer that can never be given was accepted: %v", err)
	}
}

func parsedWell[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// FuzzQuoted: whatever a value is and however it is printed, between quotes it
// stays a JSON string, and within a script element it does not end it.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"", "小美", nastyText, "</SCRIPT>", "\xed\xa0\x80", "\u2028", `\`, `"`} {
		f.Add(s)
	}
	tmpl := template.Must(template.New("").Parse(`["{{.Name}}","{{print .Name}}","{{printf "%d" .Name}}","{{printf "%#v" .Name}}","{{printf "%+q" .Name}}","{{printf "%-5x" .Name}}"]`))
	f.Fuzz(func(t *testing.T, s string) {
		body, err := execute(tmpl, &answerData{name: s})
		if err != nil {
			t.Skip() // longer than any name
		}
		var got []string
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%q gives %s: %v", s, body, err)
		}
		want := strings.ToValidUTF8(s, "\ufffd")
		for i, g := range got {
			// An encoder may write one mark for each bad byte, or one for several.
			if strings.ReplaceAll(g, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
				t.Errorf("value %d of %q came out as %q", i, s, g)
			}
		}
		if strings.ContainsAny(string(body), "<>&\u2028\u2029") {
			t.Errorf("%q gives %s, which a page cannot carry in a script", s, body)
		}
	})
}

// tourist calls the app's login API as its page does.
func (b *browser) tourist(path, body string) answer {
	b.w.t.Helper()
	return b.postBody(path, body, "Accept", "*/*", "Sec-Fetch-Dest", "empty", "Content-Type", "application/x-www-form-urlencoded")
}

func (b *browser) postBody(path, body string, headers ...string) answer {
	b.w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.w.front.URL+path, strings.NewReader(body))
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.sendRequest(r, headers...)
}

// sendRequest is do for a request of one's own.
func (b *browser) sendRequest(r *http.Request, headers ...string) answer {
	b.w.t.Helper()
	r.Header.Set("User-Agent", b.agent)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.answerOf(res)
}

func TestAnswer(t *testing.T) {
	var forwarded atomic.Int64
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(strings.ToLower(r.URL.Path), "/dollscatcher") {
			forwarded.Add(1)
		}
		echo(rw, r)
	}, rules("deny /dollsCatcher/"), answering(touristAnswer+"\nGET /login/me = "+
		`{"u":"{{.User}}","n":"{{.Name}}","a":"{{.Avatar}}","o":"{{.Openid}}","un":"{{.Unionid}}","k":"{{.AppKey}}"}`))

	type account struct {
		Code int
		Data struct{ Accid, Nickname, ImToken string }
	}
	stranger := w.browser(iPhone)
	if res := stranger.tourist("/dollsCatcher/tourist", "sid=somebody"); res.StatusCode != 401 || res.jsonError(t).Error != "login_required" {
		t.Errorf("without a session: %d %s", res.StatusCode, res.body)
	}
	if res := stranger.stay().open("/login/me"); res.StatusCode != 302 || !strings.Contains(res.Header.Get("Location"), "/.wxgate/login?next=%2Flogin%2Fme") {
		t.Errorf("a visit without a session: %d %v", res.StatusCode, res.Header)
	}

	b := w.browser(iPhone)
	user := b.open("/").user(t)
	for _, body := range []string{"", "sid=somebody", strings.Repeat("x", 3<<20)} {
		var got account
		res := b.tourist("/dollsCatcher/tourist", body)
		if err := json.Unmarshal([]byte(res.body), &got); err != nil || res.StatusCode != 200 {
			t.Fatalf("%d %s", res.StatusCode, res.body)
		}
		if got.Code != 200 || got.Data.Accid != user || !strings.HasPrefix(got.Data.Nickname, "玩家") {
			t.Errorf("answered %+v", got)
		}
		if code := w.yunxin.Login(yunxintest.AppKey, got.Data.Accid, got.Data.ImToken, 0); code != 200 {
			t.Errorf("the token does not log in: %d", code)
		}
		if h := res.Header; h.Get("Content-Type") != "application/json; charset=utf-8" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("headers %v", h)
		}
	}

	var me map[string]string
	if err := json.Unmarshal([]byte(b.fetch("/login/me").body), &me); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"u": user, "n": identity.DefaultName(w.replicas[0].cfg.DefaultName, user), "a": "", "o": w.wechat.OpenID("xiaomei", testAppID), "un": "", "k": yunxintest.AppKey}
	if diff := cmp.Diff(want, me); diff != "" {
		t.Error(diff)
	}
	if res := b.do(http.MethodHead, "/login/me"); res.StatusCode != 200 || res.body != "" || res.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d %v", res.StatusCode, res.Header)
	}

	// Whatever an app may take for the same call does not get there, whoever asks.
	for _, path := range []string{"/dollscatcher/tourist", "/dollsCatcher/tourist/", "/dollsCatcher/tourist;x", "/dollsCatcher//tourist", "/x/../dollsCatcher/tourist", "/dollsCatcher/%74ourist", "/dollsCatcher/tourist%20"} {
		if res := b.tourist(path, "sid=somebody"); res.StatusCode != 404 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if n := forwarded.Load(); n != 0 {
		t.Errorf("the app was asked %d times", n)
	}
	if res := b.tourist("/dollsCatcher/tourist?x=1", ""); res.StatusCode != 200 {
		t.Errorf("with a query: %d", res.StatusCode)
	}
}

// Without any rule the spellings of an answered path are kept from the app too.
func TestAnswerCannotBeMissed(t *testing.T) {
	w := newWorld(t, 1, nil, answering(touristAnswer))
	b := w.browser(iPhone)
	b.open("/")
	for path, want := range map[string]int{
		"/dollscatcher/TOURIST": 404, "/dollsCatcher/tourist/": 404, "/dollsCatcher/./tourist": 404, "/dollsCatcher/tourist%2f": 404, "/DollsCatcher/tourist;jsessionid=1": 404,
		"/dollsCatcher/tourists": 200, "/dollsCatcher/": 200, "/tourist": 200,
	} {
		if res := b.tourist(path, ""); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	if res := b.fetch("/dollsCatcher/tourist"); res.StatusCode != 200 || res.echoed(t).Method != "GET" {
		t.Errorf("another method is the rules' business: %d", res.StatusCode)
	}
}

func TestAnswerWithAProfile(t *testing.T) {
	w := newWorld(t, 1, nil, answering(`GET /me = {"n":"{{.Name}}","a":"{{.Avatar}}"}`))
	b := w.browser(iPhone)
	user := b.open("/").user(t)
	nasty := `小"美\</script>`
	_, err := w.replicas[0].cfg.Users.Update(t.Context(), user, func(u *identity.User) error {
		u.Profile = &identity.Profile{Name: nasty, Avatar: "https://thirdwx.qlogo.cn/x?a=1&b=2", UpdatedAt: time.Now()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(cacheLife + time.Second)
	var me struct{ N, A string }
	res := b.fetch("/me")
	if err := json.Unmarshal([]byte(res.body), &me); err != nil || me.N != nasty || me.A != "https://thirdwx.qlogo.cn/x?a=1&b=2" {
		t.Errorf("%v: %s", err, res.body)
	}
	if strings.Contains(res.body, "</") {
		t.Errorf("a script element would end here: %s", res.body)
	}
}

func TestAnswerForTheBlocked(t *testing.T) {
	w := newWorld(t, 1, nil, answering(touristAnswer))
	b := w.browser(iPhone)
	user := b.open("/").user(t)
	if _, err := w.replicas[0].cfg.Users.Update(t.Context(), user, func(u *identity.User) error { u.Status = identity.StatusBlocked; return nil }); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(cacheLife + time.Second)
	if res := b.tourist("/dollsCatcher/tourist", ""); res.StatusCode != 403 || res.jsonError(t).Error != "user_blocked" {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

func TestAnswerWithoutAnAccountYet(t *testing.T) {
	w := newWorld(t, 1, nil, answering(touristAnswer+"\nGET /name = "+`{"n":"{{.Name}}"}`))
	w.yunxin.Inject(yunxintest.Fault{Status: 503, Times: -1})
	b := w.browser(iPhone)
	user := b.open("/").user(t)
	res := b.tourist("/dollsCatcher/tourist", "")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.jsonError(t).Error != "upstream_unavailable" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, res.body)
	}
	if res := b.fetch("/name"); res.StatusCode != 200 {
		t.Errorf("an answer that needs no account: %d %s", res.StatusCode, res.body)
	}
	w.yunxin.ClearFaults()
	eventually(t, "the account is there", func() bool { return b.tourist("/dollsCatcher/tourist", "").StatusCode == 200 })
	if _, ok := w.yunxin.Account(user); !ok {
		t.Error("there is none at Yunxin")
	}
}

func TestAnswerWithoutAStore(t *testing.T) {
	w := newWorld(t, 1, nil, answering(touristAnswer))
	b := w.browser(iPhone)
	b.open("/")
	w.store.down.Store(true)
	w.clock.advance(graceLife + cacheLife)
	if res := b.tourist("/dollsCatcher/tourist", ""); res.StatusCode != 503 || res.jsonError(t).Error != "store_unavailable" {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

func (b *browser) answerOf(res *http.Response) answer {
	b.w.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return answer{res, string(body)}
}

func TestAnswerForVisitors(t *testing.T) {
	w := newWorld(t, 1, nil, answering(touristAnswer+"\nGET /name = "+`{"n":"{{.Name}}"}`), func(c *Config) { c.SnapshotVisitors = true })
	b := w.browser(iPhone).as("snapshot")
	b.open("/")
	for _, res := range []answer{b.tourist("/dollsCatcher/tourist", ""), b.fetch("/name")} {
		if res.StatusCode != 403 || res.jsonError(t).Error != "snapshot_visitor" {
			t.Errorf("%s: %d %s", res.Request.URL.Path, res.StatusCode, res.body)
		}
	}
}

func TestAnswerForOtherOrigins(t *testing.T) {
	w := newWorld(t, 1, nil, answering(touristAnswer), func(c *Config) { c.AllowedOrigins = []string{"https://h5.example.com"} })
	b := w.browser(iPhone)
	b.open("/")
	for origin, want := range map[string]string{"https://h5.example.com": "https://h5.example.com", "https://evil.example.com": ""} {
		res := b.postBody("/dollsCatcher/tourist", "", "Accept", "*/*", "Sec-Fetch-Dest", "empty", "Origin", origin)
		if res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("a page of %s: %d %v", origin, res.StatusCode, res.Header)
		}
	}
}
