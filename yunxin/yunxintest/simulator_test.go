package yunxintest

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The tests speak the wire format by hand: the simulator must be right by
// itself, not merely agree with a client.

const form = "application/x-www-form-urlencoded;charset=utf-8"

// ask sends a signed call straight to the handler. edit may spoil the request.
func ask(t *testing.T, s *Simulator, method, path, contentType, body string, edit ...func(http.Header)) map[string]any {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	curTime := strconv.FormatInt(s.Now().Unix(), 10)
	sum := sha1.Sum([]byte(AppSecret + "nonce" + curTime))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("AppKey", AppKey)
	r.Header.Set("Nonce", "nonce")
	r.Header.Set("CurTime", curTime)
	r.Header.Set("CheckSum", hex.EncodeToString(sum[:]))
	for _, e := range edit {
		e(r.Header)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return map[string]any{"http": float64(w.Code)}
	}
	if got, want := w.Header().Get("Content-Type"), "application/json;charset=utf-8"; got != want {
		t.Errorf("Content-Type %q, want %q", got, want)
	}
	var reply map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil {
		t.Errorf("reply %q: %v", w.Body, err)
	}
	return reply
}

func v1(t *testing.T, s *Simulator, action string, params ...string) map[string]any {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	return ask(t, s, "POST", "/nimserver/user/"+action+".action", form, values.Encode())
}

func v2(t *testing.T, s *Simulator, method, path, body string) map[string]any {
	t.Helper()
	return ask(t, s, method, "/im/v2/"+path, "application/json", body)
}

func wantCode(t *testing.T, reply map[string]any, code int, text string) {
	t.Helper()
	got, _ := reply["desc"].(string)
	if got == "" && code != 200 {
		got, _ = reply["msg"].(string)
	}
	if reply["code"] != float64(code) || got != text {
		t.Errorf("reply %v, want code %d %q", reply, code, text)
	}
}

func TestV1Accounts(t *testing.T) {
	s := New(Config{Behaviour: Behaviour{Plain: true}})
	got := v1(t, s, "create", "accid", "WX_0001", "token", "t1", "name", "抓娃娃 A&B", "icon", "https://a/132")
	want := map[string]any{"code": 200.0, "info": map[string]any{"accid": "wx_0001", "token": "t1", "name": "抓娃娃 A&B"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = v1(t, s, "create", "accid", "wx_0001", "token", "t2", "name", "other")
	if d := cmp.Diff(map[string]any{"code": 414.0, "desc": "already register"}, got); d != "" {
		t.Error(d)
	}
	if a, _ := s.Account("wx_0001"); a.Token != "t1" || a.Name != "抓娃娃 A&B" || a.Avatar != "https://a/132" {
		t.Errorf("a second create changed the account: %+v", a)
	}

	if d := cmp.Diff(map[string]any{"code": 200.0}, v1(t, s, "update", "accid", "Wx_0001", "token", "t3")); d != "" {
		t.Error(d)
	}
	wantCode(t, v1(t, s, "updateUinfo", "accid", "wx_0001", "icon", ""), 200, "")
	if a, _ := s.Account("wx_0001"); a.Token != "t3" || a.Name != "抓娃娃 A&B" || a.Avatar != "" {
		t.Errorf("after the updates: %+v", a)
	}
	for _, action := range []string{"update", "refreshToken", "updateUinfo", "block", "unblock"} {
		wantCode(t, v1(t, s, action, "accid", "Nobody"), 414, "Nobody is not registered")
	}

	got = v1(t, s, "refreshToken", "accid", "wx_0001")
	token := got["info"].(map[string]any)["token"].(string)
	if a, _ := s.Account("wx_0001"); len(token) != 32 || a.Token != token {
		t.Errorf("refreshed token %q, account %+v", token, a)
	}

	got = v1(t, s, "getUinfos", "accids", `["wx_0001","nobody"]`)
	info := got["uinfos"].([]any)
	if len(info) != 1 || info[0].(map[string]any)["accid"] != "wx_0001" || strings.Contains(fmt.Sprint(got), token) {
		t.Errorf("getUinfos: %v", got)
	}
	wantCode(t, v1(t, s, "getUinfos", "accids", "wx_0001"), 414, "parameter accids error")
}

func TestV2Accounts(t *testing.T) {
	s := New(Config{Behaviour: Behaviour{Plain: true}})
	got := v2(t, s, "POST", "accounts", `{"account_id":"WX_0001","token":"t1","user_information":{"name":"阿强","avatar":"https://a/132","gender":1}}`)
	data := got["data"].(map[string]any)
	delete(data, "configuration")
	want := map[string]any{"account_id": "wx_0001", "token": "t1", "user_information": map[string]any{"name": "阿强", "avatar": "https://a/132", "gender": "1"}}
	if d := cmp.Diff(want, data); d != "" {
		t.Error(d)
	}
	got = v2(t, s, "POST", "accounts", `{"account_id":"wx_0001","token":"t2"}`)
	if d := cmp.Diff(map[string]any{"code": 102405.0, "msg": "account already exists", "data": map[string]any{}}, got); d != "" {
		t.Error(d)
	}
	// The vendor's SDK reaches v2 below v1's prefix.
	got = ask(t, s, "PATCH", "/nimserver/im/v2/accounts/wx_0001", "application/json", `{"token":"t3"}`)
	wantCode(t, got, 200, "")
	if strings.Contains(fmt.Sprint(got), "t3") {
		t.Errorf("an update reveals the token: %v", got)
	}
	wantCode(t, v2(t, s, "PATCH", "users/wx_0001", `{"name":"强","avatar":""}`), 200, "")
	if a, _ := s.Account("wx_0001"); a.Token != "t3" || a.Name != "强" || a.Avatar != "" {
		t.Errorf("after the updates: %+v", a)
	}
	got = v2(t, s, "PATCH", "accounts/wx_0001/actions/refresh_token", "")
	data = got["data"].(map[string]any)
	if a, _ := s.Account("wx_0001"); data["token"] != a.Token || a.Token == "t3" || data["configration"] == nil {
		t.Errorf("refresh: %v", got)
	}
	for _, path := range []string{"accounts/wx_0001", "users/wx_0001"} {
		got := v2(t, s, "GET", path, "")
		if wantCode(t, got, 200, ""); got["data"].(map[string]any)["account_id"] != "wx_0001" || got["data"].(map[string]any)["token"] != nil {
			t.Errorf("GET %s: %v", path, got)
		}
	}
	for _, call := range []string{"PATCH accounts/nobody", "GET accounts/nobody", "PATCH users/nobody", "PATCH accounts/nobody/actions/disable"} {
		method, path, _ := strings.Cut(call, " ")
		wantCode(t, v2(t, s, method, path, `{"enabled":false}`), 102404, "account not exist")
	}
}

func TestHeaders(t *testing.T) {
	set := func(name, value string) func(http.Header) {
		return func(h http.Header) { h.Set(name, value) }
	}
	cases := []struct {
		name   string
		edit   func(http.Header)
		desc   string
		v2Code int
		v2Text string
	}{
		{"no header", func(h http.Header) { h.Del("CheckSum") }, "bad http header", 403, "authentication failed"},
		{"header twice", func(h http.Header) { h.Add("Nonce", "x") }, "bad http header", 403, "authentication failed"},
		{"long nonce", set("Nonce", strings.Repeat("n", 129)), "bad http header", 403, "authentication failed"},
		{"no number", set("CurTime", "soon"), "bad http header", 403, "authentication failed"},
		{"foreign key", set("AppKey", "0"), "appkey", 101303, "app key not exist"},
		{"milliseconds", set("CurTime", "1760000000000"), "CurTime is expired", 403, "authentication failed"},
		{"wrong signature", set("CheckSum", strings.Repeat("0", 40)), "checksum", 403, "authentication failed"},
		{"upper case", func(h http.Header) { h.Set("CheckSum", strings.ToUpper(h.Get("CheckSum"))) }, "checksum", 403, "authentication failed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := New(Config{})
			wantCode(t, ask(t, s, "POST", "/nimserver/user/create.action", form, "accid=a", c.edit), 414, c.desc)
			wantCode(t, ask(t, s, "POST", "/im/v2/accounts", "application/json", `{"account_id":"a"}`, c.edit), c.v2Code, c.v2Text)
			if s.Accounts() != 0 {
				t.Error("an account was made")
			}
		})
	}
	s := New(Config{Behaviour: Behaviour{V2AuthCode: 414, V2UnknownKeyCode: 403}})
	wantCode(t, ask(t, s, "GET", "/im/v2/users/a", "", "", set("CheckSum", "0")), 414, "authentication failed")
	wantCode(t, ask(t, s, "GET", "/im/v2/users/a", "", "", set("AppKey", "0")), 403, "authentication failed")
}

func TestClockWindow(t *testing.T) {
	now := time.Unix(1760000000, 0)
	for skew, ok := range map[time.Duration]bool{
		5 * time.Minute: true, -5 * time.Minute: true, 5*time.Minute + time.Second: false, -6 * time.Minute: false,
	} {
		s := New(Config{Now: func() time.Time { return now }})
		curTime := strconv.FormatInt(now.Add(skew).Unix(), 10)
		sum := sha1.Sum([]byte(AppSecret + "nonce" + curTime))
		got := ask(t, s, "POST", "/nimserver/user/create.action", form, "accid=a", func(h http.Header) {
			h.Set("CurTime", curTime)
			h.Set("CheckSum", hex.EncodeToString(sum[:]))
		})
		if (got["code"] == 200.0) != ok {
			t.Errorf("skew %v: %v, want accepted %v", skew, got, ok)
		}
	}
}

func TestBadParameters(t *testing.T) {
	s := New(Config{})
	long := strings.Repeat("x", 33)
	for _, params := range [][]string{
		{"accid", long}, {"accid", "a b"}, {"accid", "抓"}, {"accid", "a/b"},
		{"accid", "a", "token", strings.Repeat("t", 129)},
		{"accid", "a", "name", strings.Repeat("n", 65)},
		{"accid", "a", "name", strings.Repeat("🎣", 33)}, // 66 UTF-16 units
		{"accid", "a", "name", "\xff"},
		{"accid", "a", "icon", strings.Repeat("i", 1025)},
		{"accid", "a", "gender", "3"},
	} {
		if got := v1(t, s, "create", params...); got["code"] != 414.0 {
			t.Errorf("v1 create %.60q: %v", params, got)
		}
	}
	wantCode(t, v1(t, s, "create"), 414, "accid is empty")
	wantCode(t, ask(t, s, "POST", "/nimserver/user/create.action", "application/json", `{"accid":"a"}`), 414, "accid is empty")
	for _, body := range []string{
		``, `{}`, `[]`, `{"account_id":"a"`, `{"account_id":"a"}{}`, `{"account_id":1}`, `{"account_id":null}`, `{"accid":"a"}`,
		`{"account_id":"` + long + `"}`, `{"account_id":"a","token":7}`, `{"account_id":"a","user_information":{"name":["x"]}}`,
		`{"account_id":"a","user_information":{"gender":5}}`, `{"account_id":"a","user_information":{"gender":"1"}}`, `{"account_id":{"a":1}}`, `{"account_id":true}`,
	} {
		if got := v2(t, s, "POST", "accounts", body); got["code"] != 414.0 {
			t.Errorf("v2 create %.60q: %v", body, got)
		}
	}
	wantCode(t, ask(t, s, "POST", "/im/v2/accounts", form, "account_id=a"), 414, "parameter error")
	for _, call := range []string{"GET /nimserver/user/create.action", "POST /nimserver/user/delete.action", "PUT /im/v2/accounts/a", "POST /user/create.action", "DELETE /im/v2/accounts"} {
		method, path, _ := strings.Cut(call, " ")
		if got := ask(t, s, method, path, form, "accid=a"); got["http"] != 404.0 {
			t.Errorf("%s: %v", call, got)
		}
	}
	if s.Accounts() != 0 {
		t.Errorf("%d accounts were made", s.Accounts())
	}
}

func TestFrequency(t *testing.T) {
	now := time.Unix(1760000000, 0)
	s := New(Config{PerSecond: 3, Now: func() time.Time { return now }})
	create := func(i int) float64 { return v1(t, s, "create", "accid", fmt.Sprintf("a%d", i))["code"].(float64) }
	for i := range 3 {
		if got := create(i); got != 200 {
			t.Fatalf("call %d: %v", i, got)
		}
	}
	if got := create(3); got != 416 {
		t.Errorf("call over the limit: %v", got)
	}
	wantCode(t, v1(t, s, "update", "accid", "a0"), 200, "") // another interface
	s.Advance(9900 * time.Millisecond)
	if got := create(4); got != 416 {
		t.Errorf("within ten seconds: %v", got)
	}
	s.Advance(100 * time.Millisecond)
	if got := create(5); got != 200 {
		t.Errorf("after ten seconds: %v", got)
	}
}

func TestBehaviour(t *testing.T) {
	t.Run("contention", func(t *testing.T) {
		s := New(Config{Behaviour: Behaviour{Contention: true}})
		var codes []float64
		for range 4 {
			codes = append(codes, v2(t, s, "POST", "accounts", `{"account_id":"a"}`)["code"].(float64))
		}
		if want := []float64{200, 102449, 102405, 102405}; !slices.Equal(codes, want) {
			t.Errorf("codes %v, want %v", codes, want)
		}
	})
	t.Run("trace id", func(t *testing.T) {
		s := New(Config{Behaviour: Behaviour{DedupTraceID: true}})
		trace := func(h http.Header) { h.Set("X-Custom-Traceid", "one") }
		wantCode(t, ask(t, s, "POST", "/im/v2/accounts", "application/json", `{"account_id":"a"}`, trace), 200, "")
		wantCode(t, ask(t, s, "POST", "/im/v2/accounts", "application/json", `{"account_id":"b"}`, trace), 431, "http request repeated")
		wantCode(t, v2(t, s, "POST", "accounts", `{"account_id":"b"}`), 200, "")
	})
	t.Run("quota", func(t *testing.T) {
		s := New(Config{Behaviour: Behaviour{MaxAccounts: 1}})
		v1(t, s, "create", "accid", "a")
		wantCode(t, v1(t, s, "create", "accid", "b"), 419, "account number over limit")
		wantCode(t, v2(t, s, "POST", "accounts", `{"account_id":"b"}`), 102434, "limit of accounts exceeded")
	})
	t.Run("antispam", func(t *testing.T) {
		s := New(Config{Behaviour: Behaviour{AntispamWords: []string{"加微信"}}})
		wantCode(t, v2(t, s, "POST", "accounts", `{"account_id":"a","user_information":{"name":"快加微信123"}}`), 103451, "profile hit antispam")
		wantCode(t, v1(t, s, "create", "accid", "a", "name", "快加微信123"), 414, "parameter name error")
		if s.Accounts() != 0 {
			t.Error("a refused profile made an account")
		}
	})
	t.Run("info as string", func(t *testing.T) {
		s := New(Config{Behaviour: Behaviour{InfoAsString: true}})
		if info, ok := v1(t, s, "create", "accid", "a")["info"].(string); !ok || !strings.Contains(info, `"accid":"a"`) {
			t.Errorf("info %v", info)
		}
	})
	t.Run("blocked", func(t *testing.T) {
		s := New(Config{})
		s.Add(Account{Accid: "a", Blocked: true})
		wantCode(t, v1(t, s, "update", "accid", "a", "token", "t"), 200, "")
		s.Change(func(b *Behaviour) { b.BlockedRefuses = true })
		wantCode(t, v1(t, s, "update", "accid", "a", "token", "t"), 422, "account disabled")
		wantCode(t, v2(t, s, "PATCH", "accounts/a", `{"token":"t"}`), 102422, "account banned")
	})
}

// A reply's members come in no fixed order and with strangers among them.
func TestVariation(t *testing.T) {
	s := New(Config{PerSecond: 1000})
	first := make(map[string]bool)
	for range 40 {
		v1(t, s, "create", "accid", "a")
		r := httptest.NewRequest("POST", "/nimserver/user/create.action", nil)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		first[strings.SplitN(w.Body.String(), `"`, 3)[1]] = true
	}
	if got, want := slices.Sorted(maps.Keys(first)), []string{"code", "desc", "reserved"}; !slices.Equal(got, want) {
		t.Errorf("members that came first: %v, want each of %v", got, want)
	}
}

func TestLogin(t *testing.T) {
	s := New(Config{Behaviour: Behaviour{DynamicLogin: true}})
	s.Add(Account{Accid: "wx_0001", Token: "t1"})
	dynamic := func(accid string, at time.Time, ttl int, quote string) string {
		ms := strconv.FormatInt(at.UnixMilli(), 10)
		sum := sha1.Sum([]byte(AppKey + accid + ms + strconv.Itoa(ttl) + AppSecret))
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"signature":"%x","curTime":%s%s%s,"ttl":%s%d%s}`, sum, quote, ms, quote, quote, ttl, quote))
	}
	now := s.Now()
	fresh := dynamic("wx_0001", now, 600, "")
	cases := []struct {
		name, key, accid, token string
		authType, want          int
	}{
		{"static", AppKey, "wx_0001", "t1", 0, 200},
		{"other letter case", AppKey, "WX_0001", "t1", 0, 200},
		{"wrong token", AppKey, "wx_0001", "t2", 0, 302},
		{"no token", AppKey, "wx_0001", "", 0, 302},
		{"unknown account", AppKey, "nobody", "t1", 0, 302},
		{"foreign key", "0", "wx_0001", "t1", 0, 302},
		{"dynamic", AppKey, "wx_0001", fresh, 1, 200},
		{"dynamic with strings", AppKey, "wx_0001", dynamic("wx_0001", now, 600, `"`), 1, 200},
		{"dynamic of another account", AppKey, "wx_0001", dynamic("wx_0002", now, 600, ""), 1, 302},
		{"dynamic over upper case", AppKey, "wx_0001", dynamic("WX_0001", now, 600, ""), 1, 302},
		{"dynamic expired", AppKey, "wx_0001", dynamic("wx_0001", now.Add(-601*time.Second), 600, ""), 1, 302},
		{"dynamic of the future", AppKey, "wx_0001", dynamic("wx_0001", now.Add(6*time.Minute), 600, ""), 1, 302},
		{"dynamic as static", AppKey, "wx_0001", fresh, 0, 302},
		{"static as dynamic", AppKey, "wx_0001", "t1", 1, 302},
		{"dynamic, not base64", AppKey, "wx_0001", "!", 1, 302},
		{"callback", AppKey, "wx_0001", "t1", 2, 403},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := s.Login(c.key, c.accid, c.token, c.authType); got != c.want {
				t.Errorf("Login = %d, want %d", got, c.want)
			}
		})
	}
	s.Change(func(b *Behaviour) { b.StaticLoginOff, b.DynamicLogin = true, false })
	for authType, token := range []string{"t1", fresh} {
		if got := s.Login(AppKey, "wx_0001", token, authType); got != 403 {
			t.Errorf("auth type %d switched off: %d", authType, got)
		}
	}
}

func TestBlockAndKick(t *testing.T) {
	s := New(Config{})
	s.Add(Account{Accid: "a", Token: "t"})
	login := func() int { return s.Login(AppKey, "a", "t", 0) }
	want := func(live, kicked int, blocked bool) {
		t.Helper()
		if a, _ := s.Account("a"); a.Live != live || a.Kicked != kicked || a.Blocked != blocked {
			t.Errorf("account %+v, want live %d, kicked %d, blocked %v", a, live, kicked, blocked)
		}
	}
	login()
	login()
	v1(t, s, "block", "accid", "a")
	want(2, 0, true) // without needkick, sessions survive
	if got := login(); got != 422 || V10Code(got) != 102422 {
		t.Errorf("login of a blocked account: %d", got)
	}
	v1(t, s, "block", "accid", "a", "needkick", "true")
	want(0, 2, true)
	v1(t, s, "unblock", "accid", "a")
	login()
	v2(t, s, "POST", "accounts/a/actions/kick", `{"type":1}`)
	want(0, 3, false)
	login()
	v2(t, s, "PATCH", "accounts/a", `{"token":"u","need_kick":true}`)
	want(0, 4, false)
	v2(t, s, "PATCH", "accounts/a/actions/disable", `{"enabled":false}`)
	want(0, 4, true)
	v2(t, s, "PATCH", "accounts/a/actions/disable", `{"enabled":true}`)
	want(0, 4, false)
	wantCode(t, v2(t, s, "PATCH", "accounts/a/actions/disable", `{}`), 414, "parameter error")
	wantCode(t, v2(t, s, "POST", "accounts/a/actions/kick", `{}`), 414, "parameter error")
}

func TestLoginEndpoint(t *testing.T) {
	s := New(Config{})
	s.Add(Account{Accid: "a", Token: "t"})
	post := func(body string) (int, string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("POST", "/sim/login", strings.NewReader(body)))
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Error("pages of other origins cannot call")
		}
		return w.Code, w.Body.String()
	}
	for body, want := range map[string]string{
		`{"appKey":"` + AppKey + `","account":"a","token":"t","authType":0}`: `{"code":200,"v10Code":200}`,
		`{"appKey":"` + AppKey + `","account":"a","token":"x","authType":0}`: `{"code":302,"v10Code":102302}`,
	} {
		if status, got := post(body); status != 200 || got != want {
			t.Errorf("%s: %d %s, want %s", body, status, got, want)
		}
	}
	if status, _ := post("accid=a"); status != 400 {
		t.Errorf("a form: %d", status)
	}
	if len(s.Journal("")) != 0 {
		t.Error("a page's login is no API call")
	}
	for method, want := range map[string]int{"OPTIONS": 204, "GET": 405} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, "/sim/login", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
}

// Of parallel creates, in whatever letter case and generation, one wins.
func TestCreateIsAtomic(t *testing.T) {
	s := New(Config{PerSecond: 1000})
	var wg sync.WaitGroup
	codes := make([]float64, 40)
	for i := range codes {
		wg.Go(func() {
			if i%2 == 0 {
				codes[i], _ = v1(t, s, "create", "accid", "Race")["code"].(float64)
			} else {
				codes[i], _ = v2(t, s, "POST", "accounts", `{"account_id":"race"}`)["code"].(float64)
			}
		})
	}
	wg.Wait()
	won := 0
	for _, code := range codes {
		if code == 200 {
			won++
		}
	}
	if won != 1 || s.Accounts() != 1 {
		t.Errorf("%d creates won, %d accounts", won, s.Accounts())
	}
}

func TestFaults(t *testing.T) {
	srv := NewServer(Config{})
	defer srv.Close()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func() (status int, body string, err error) {
		r, _ := http.NewRequest("POST", srv.URL+"/nimserver/user/create.action", strings.NewReader("accid=a"))
		r.Header.Set("Content-Type", form)
		curTime := strconv.FormatInt(srv.Now().Unix(), 10)
		sum := sha1.Sum([]byte(AppSecret + "n" + curTime))
		for name, value := range map[string]string{"AppKey": AppKey, "Nonce": "n", "CurTime": curTime, "CheckSum": hex.EncodeToString(sum[:])} {
			r.Header.Set(name, value)
		}
		res, err := c.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}

	srv.Inject(Fault{API: UpdateToken, Code: 500}) // of another interface
	srv.Inject(Fault{API: Create, Reset: true})
	srv.Inject(Fault{Status: 502})
	srv.Inject(Fault{Status: 200})
	srv.Inject(Fault{Status: 200, Body: "junk"})
	srv.Inject(Fault{Code: 503, Text: "busy", Times: 2})
	if _, _, err := send(); err == nil {
		t.Error("reset: no error")
	}
	if status, body, _ := send(); status != 502 || !strings.Contains(body, "<html>") {
		t.Errorf("502: %d %q", status, body)
	}
	for _, want := range []string{"", "junk"} {
		if status, body, _ := send(); status != 200 || body != want {
			t.Errorf("raw reply: %d %q, want %q", status, body, want)
		}
	}
	for range 2 {
		if _, body, _ := send(); !strings.Contains(body, `"code":503`) || !strings.Contains(body, `"desc":"busy"`) {
			t.Errorf("business fault: %q", body)
		}
	}
	if srv.Accounts() != 0 {
		t.Fatal("a fault that replaces the call took effect")
	}
	srv.Inject(Fault{Drop: true})
	srv.Inject(Fault{Cut: true})
	if _, _, err := send(); err == nil || srv.Accounts() != 1 {
		t.Errorf("commit, then drop: error %v, accounts %d", err, srv.Accounts())
	}
	if _, body, err := send(); err == nil || body == "" {
		t.Errorf("cut: %q, error %v", body, err)
	}
	srv.Inject(Fault{Code: 500, Times: -1, After: 1})
	var codes []string
	for range 3 {
		_, body, _ := send()
		codes = append(codes, strconv.FormatBool(strings.Contains(body, `"code":500`)))
	}
	srv.ClearFaults()
	_, body, _ := send()
	if got := strings.Join(codes, " "); got != "false true true" || strings.Contains(body, "500") {
		t.Errorf("lasting fault struck %s, after clearing %s", got, body)
	}
	if got := srv.Journal(Create); len(got) != 12 || !got[0].Lost || got[6].Code != 200 || got[6].Params["accid"] != "a" || got[6].Host == "" {
		t.Errorf("journal of %d entries", len(got))
	}
	if srv.ClearJournal(); len(srv.Journal("")) != 0 {
		t.Error("the journal was not cleared")
	}
}

func TestServers(t *testing.T) {
	primary := NewServer(Config{})
	backup := primary.Serve()
	defer backup.Close()
	primary.Close()
	if _, err := http.Get(primary.URL); err == nil {
		t.Error("a closed server answers")
	}
	res, err := http.Get(backup.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := len(primary.Journal("")); got != 1 {
		t.Errorf("the servers share one journal, which has %d entries", got)
	}
}

func TestJournalIsBounded(t *testing.T) {
	s := New(Config{})
	for range maxJournal + 10 {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if got := len(s.Journal("")); got > maxJournal || got < maxJournal/2 {
		t.Errorf("%d entries", got)
	}
}
