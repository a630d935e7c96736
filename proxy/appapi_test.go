package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"wxgate/identity"
	"wxgate/yunxin/yunxintest"
)

// appAPI is the app's listener of the world's first replica.
func appAPI(t *testing.T, w *world) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(w.replicas[0].App(true))
	t.Cleanup(s.Close)
	return s
}

func call(t *testing.T, method, url, body string, header ...string) (status int, answer string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

// someone is a user who logged in.
func someone(t *testing.T, w *world, openID string) *identity.User {
	t.Helper()
	res, err := w.replicas[0].cfg.Users.Resolve(t.Context(), identity.Login{
		Platform: "default", Channel: identity.ChannelMP, AppID: testAppID, OpenID: openID,
	})
	if err != nil {
		t.Fatal(err)
	}
	return res.User
}

func TestAppAPICallsWeChat(t *testing.T) {
	w := newWorld(t, 1, nil)
	app := appAPI(t, w)
	openID := w.wechat.OpenID("xiaomei", testAppID)
	message := fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"你好"}}`, openID)
	send := func() (int, string) {
		status, body, h := call(t, "POST", app.URL+"/wechat/"+testAppID+"/cgi-bin/message/custom/send?access_token=mine", message, "Content-Type", "application/json")
		if strings.Contains(fmt.Sprint(body, h), "access_token") {
			t.Errorf("the answer speaks of the token: %s %v", body, h)
		}
		return status, body
	}
	if status, body := send(); status != 200 || !strings.Contains(body, `"errcode":0`) {
		t.Fatalf("%d %s", status, body)
	}
	if got := w.wechat.CustomMessages(); len(got) != 1 || got[0].OpenID != openID {
		t.Errorf("WeChat got %+v", got)
	}
	// A void token costs the app nothing but time.
	w.wechat.VoidServerToken(testAppID)
	if status, body := send(); status != 200 || !strings.Contains(body, `"errcode":0`) {
		t.Errorf("after the token became void: %d %s", status, body)
	}
	calls := w.wechat.Calls("/cgi-bin/message/custom/send")
	if len(calls) != 3 || calls[1].Errcode != 40001 {
		t.Errorf("WeChat was called %d times: %+v", len(calls), calls)
	}
	for _, c := range calls {
		if slices.Contains(c.Query["access_token"], "mine") || len(c.Query["access_token"]) != 1 {
			t.Errorf("tokens sent: %q", c.Query["access_token"])
		}
	}
}

func TestAppAPIRefuses(t *testing.T) {
	w := newWorld(t, 1, nil)
	app := appAPI(t, w)
	u := someone(t, w, "o-1")
	ours := "/wechat/" + testAppID
	for _, tt := range []struct {
		method, path string
		header       []string
		status       int
		code         string
	}{
		{"POST", ours + "/cgi-bin/stable_token", nil, 400, "bad_request"},
		{"GET", ours + "/cgi-bin/token?grant_type=client_credential", nil, 400, "bad_request"},
		{"GET", ours + "/cgi-bin/%74oken", nil, 400, "bad_request"},
		{"GET", ours + "/cgi-bin//token", nil, 400, "bad_request"},
		{"GET", ours + "/sns/jscode2session", nil, 400, "bad_request"},
		{"GET", ours + "/", nil, 400, "bad_request"},
		{"GET", ours, nil, 400, "bad_request"},
		{"GET", "/wechat/wxffffffffffffffff/cgi-bin/user/info", nil, 404, "not_found"},
		{"GET", "/wechat//cgi-bin/user/info", nil, 404, "not_found"},
		{"GET", "/", nil, 404, "not_found"},
		{"GET", "/users/" + identity.NewID(), nil, 404, "not_found"},
		{"GET", "/users/nobody", nil, 404, "not_found"},
		{"GET", "/users/" + u.ID + "/sessions", nil, 404, "not_found"},
		{"DELETE", "/users/" + u.ID, nil, 405, "method_not_allowed"},
		{"GET", "/users/batch", nil, 405, "method_not_allowed"},
		{"POST", "/yunxin/../secret", nil, 400, "bad_request"},
		{"GET", "/users/" + u.ID, []string{"Origin", "http://evil.example"}, 403, "bad_request"},
		{"GET", "/users/" + u.ID, []string{"Sec-Fetch-Site", "none"}, 403, "bad_request"},
		{"GET", "/users/" + u.ID, []string{"Host", "rebound.example:9091"}, 403, "bad_request"},
		{"GET", "/users/" + u.ID, []string{"Host", "10.0.0.1"}, 403, "bad_request"},
	} {
		status, body, h := call(t, tt.method, app.URL+tt.path, "", tt.header...)
		var e struct {
			Error     string `json:"error"`
			Message   string `json:"message"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || status != tt.status || e.Error != tt.code || e.Message == "" || e.RequestID != h.Get("X-Request-Id") {
			t.Errorf("%s %s %v: %d %s", tt.method, tt.path, tt.header, status, body)
		}
	}
	if calls := w.wechat.Calls("/cgi-bin/token"); len(calls) != 0 {
		t.Error("WeChat was asked for a token by the app")
	}
}

// A refusal does not wait for the end of the body: then the connection ends, where
// net/http would else look for the next request in the middle of this one.
func TestAppAPIRefusalBeforeTheEndOfTheBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	var faults logBuffer
	app := httptest.NewUnstartedServer(w.replicas[0].App(true))
	app.Config.ErrorLog = log.New(&faults, "", 0)
	app.Start()
	t.Cleanup(app.Close)
	ends := func(method, path, body string) (status int, end bool) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, app.URL+"/wechat/"+testAppID+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Close
	}
	for range 20 {
		if status, end := ends("POST", "/cgi-bin/token", "xxxxxxx"); status != http.StatusBadRequest || !end {
			t.Fatalf("answered %d, and the connection ends: %v", status, end)
		}
	}
	if _, end := ends("POST", "/cgi-bin/message/custom/send", "{}"); end {
		t.Error("the connection ends though the body was read")
	}
	if _, end := ends("GET", "/cgi-bin/user/get", ""); end {
		t.Error("the connection ends though there was no body")
	}
	app.Close()
	if faults.String() != "" {
		t.Errorf("net/http says\n%s", &faults)
	}
}

func TestAppAPILoopbackHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1:9091": true, "localhost:9091": true, "LOCALHOST": true, "[::1]:9091": true, "[::1]": true, "127.8.8.8": true,
		"": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "0.0.0.0:9091": false, "example:80": false,
	} {
		if got := loopbackHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
	if !netip.MustParseAddr("127.8.8.8").IsLoopback() {
		t.Fatal("the table is wrong")
	}
}

// Whatever the size: neither the app's body nor WeChat's answer is held back.
func TestAppAPIStreams(t *testing.T) {
	w := newWorld(t, 1, nil)
	app := appAPI(t, w)
	var form strings.Builder
	form.WriteString("--b\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n")
	form.WriteString(strings.Repeat("wxgate~~", 1<<17))
	form.WriteString("\r\n--b--\r\n")
	status, body, _ := call(t, "POST", app.URL+"/wechat/"+testAppID+"/cgi-bin/media/upload?type=image", form.String(), "Content-Type", "multipart/form-data; boundary=b")
	var up struct {
		MediaID string `json:"media_id"`
	}
	if err := json.Unmarshal([]byte(body), &up); err != nil || status != 200 || up.MediaID == "" {
		t.Fatalf("%d %s", status, body)
	}
	status, body, h := call(t, "GET", app.URL+"/wechat/"+testAppID+"/cgi-bin/media/get?media_id="+up.MediaID, "")
	if status != 200 || body != strings.Repeat("wxgate~~", 1<<17) || h.Get("Content-Type") != "image/jpeg" {
		t.Errorf("%d, %d bytes, %v", status, len(body), h)
	}
}

func TestAppAPIUsers(t *testing.T) {
	w := newWorld(t, 1, nil)
	app := appAPI(t, w)
	a, b, c := someone(t, w, "o-a"), someone(t, w, "o-b"), someone(t, w, "o-c")
	g := w.replicas[0]
	if _, err := g.mergeUsers(t.Context(), a.ID, b.ID); err != nil {
		t.Fatal(err)
	}
	if err := g.eraseUser(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	nobody := identity.NewID()
	status, body, _ := call(t, "GET", app.URL+"/users/"+b.ID, "")
	if status != 200 || !strings.Contains(body, `"id":"`+a.ID+`"`) || !strings.Contains(body, `"aliases":["`+b.ID+`"]`) {
		t.Errorf("a merged user: %d %s", status, body)
	}
	if status, body, _ = call(t, "GET", app.URL+"/users/"+c.ID, ""); status != 200 || !strings.Contains(body, `"status":"erased"`) || strings.Contains(body, "o-c") {
		t.Errorf("an erased user: %d %s", status, body)
	}
	ids, _ := json.Marshal(map[string][]string{"ids": {nobody, b.ID, c.ID, a.ID, "?"}})
	status, body, _ = call(t, "POST", app.URL+"/users/batch", string(ids))
	var got struct {
		Users   []identity.User
		Missing []string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	var order []string
	for _, u := range got.Users {
		order = append(order, u.ID)
	}
	if !slices.Equal(order, []string{a.ID, c.ID, a.ID}) || !slices.Equal(got.Missing, []string{nobody, "?"}) {
		t.Errorf("users %v, missing %v", order, got.Missing)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"ids":[]}`, `{"ids":"a"}`, `{"ids":["a"]} ` + `{}`, `{"ids":["a"],"more":1}`,
		`{"ids":[` + strings.Repeat(`"a",`, maxBatch) + `"a"]}`, `{"ids":["` + strings.Repeat("a", maxBatchBody) + `"]}`} {
		if status, body, _ := call(t, "POST", app.URL+"/users/batch", bad); status != 400 || !strings.Contains(body, "bad_request") {
			t.Errorf("%.40q: %d %s", bad, status, body)
		}
	}
}

func TestAppAPIYunxin(t *testing.T) {
	w := newWorld(t, 1, nil)
	app := appAPI(t, w)
	u := someone(t, w, "o-1")
	status, body, _ := call(t, "GET", app.URL+"/users/"+u.ID+"/yunxin", "")
	var login yunxinAnswer
	if err := json.Unmarshal([]byte(body), &login); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if code := w.yunxin.Login(login.AppKey, login.Account, login.Token, login.AuthType); code != 200 {
		t.Errorf("Yunxin refuses the login: %d", code)
	}
	status, body, _ = call(t, "GET", app.URL+"/yunxin/im/v2/accounts/"+login.Account, "")
	if status != 200 || !strings.Contains(body, login.Account) || strings.Contains(body, yunxintest.AppSecret) {
		t.Errorf("a signed call: %d %s", status, body)
	}
	if _, err := w.replicas[0].blockUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if status, body, _ = call(t, "GET", app.URL+"/users/"+u.ID+"/yunxin", ""); status != 403 || !strings.Contains(body, "user_blocked") {
		t.Errorf("of a blocked user: %d %s", status, body)
	}
	if code := w.yunxin.Login(login.AppKey, login.Account, login.Token, login.AuthType); code == 200 {
		t.Error("a blocked user can log in to Yunxin")
	}
	if _, err := w.replicas[0].unblockUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if code := w.yunxin.Login(login.AppKey, login.Account, login.Token, login.AuthType); code == 200 {
		t.Error("the token from before the block works again")
	}
	if status, body, _ = call(t, "GET", app.URL+"/users/"+u.ID+"/yunxin", ""); status != 200 {
		t.Fatalf("of an unblocked user: %d %s", status, body)
	}
	if err := json.Unmarshal([]byte(body), &login); err != nil {
		t.Fatal(err)
	}
	if code := w.yunxin.Login(login.AppKey, login.Account, login.Token, login.AuthType); code != 200 {
		t.Errorf("Yunxin refuses the new token: %d", code)
	}
	w = newWorld(t, 1, nil, func(c *Config) { c.Yunxin = nil })
	app = appAPI(t, w)
	for _, path := range []string{"/yunxin/im/v2/accounts/x", "/users/" + someone(t, w, "o-1").ID + "/yunxin"} {
		if status, _, _ := call(t, "POST", app.URL+path, ""); status != 404 && status != 405 {
			t.Errorf("%s without Yunxin: %d", path, status)
		}
	}
}

func TestAdminMenu(t *testing.T) {
	const token = "token of the operator"
	w := newWorld(t, 1, nil, func(c *Config) { c.AdminToken = token })
	admin := httptest.NewServer(w.replicas[0].Admin())
	defer admin.Close()
	at := func(method, body string) (int, string) {
		status, answer, _ := call(t, method, admin.URL+"/admin/mp/menu", body, "Authorization", "Bearer "+token)
		return status, strings.TrimSpace(answer)
	}
	if status, body := at("GET", ""); status != 200 || body != `{"button":[]}` {
		t.Errorf("no menu yet: %d %s", status, body)
	}
	menu := `{"button":[{"type":"view","name":"玩","url":"https://play.example.com/?a=1&b=2"},{"name":"更多","sub_button":[{"type":"click","name":"客服","key":"help"}]}]}`
	if status, body := at("PUT", menu); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	_, shown := at("GET", "")
	if status, body := at("PUT", shown); status != 200 {
		t.Errorf("what was shown cannot be sent back: %d %s", status, body)
	}
	before, _ := w.wechat.Menu(testAppID)
	for _, bad := range []string{``, `{`, `{"button":[{"type":"view","name":"这个名字实在是太长了"}]}`, `{"button":[{}]}`, `{"button":[]} x`, `{"buttons":[]}`,
		`{"button":"` + strings.Repeat("x", maxMenuBody) + `"}`} {
		if status, body := at("PUT", bad); status != 400 || !strings.Contains(body, "bad_request") {
			t.Errorf("%.40s: %d %s", bad, status, body)
		}
	}
	if _, body := at("PUT", `{"button":[{"type":"view","name":"这个名字实在是太长了"}]}`); !strings.Contains(body, "button[0].name") || !strings.Contains(body, "button[0].url") {
		t.Errorf("not every fault with its place: %s", body)
	}
	if after, _ := w.wechat.Menu(testAppID); string(after) != string(before) {
		t.Error("a refused menu changed WeChat's")
	}
	if status, _ := at("PUT", `{"button":[]}`); status != 200 {
		t.Error("the menu cannot be taken away")
	}
	if _, found := w.wechat.Menu(testAppID); found {
		t.Error("the menu is still there")
	}
}
