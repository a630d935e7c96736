package yunxin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wxgate/yunxin/yunxintest"
)

func unavailable(t *testing.T, err error) *UnavailableError {
	t.Helper()
	var e *UnavailableError
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an UnavailableError", err)
	}
	return e
}

// Every code that the documents name for account calls, and how often the call
// goes out: twice only where repeating is the cure.
func TestCodes(t *testing.T) {
	rows := []struct {
		code  int
		text  string
		want  Kind
		calls int
	}{
		{301, "", KindBlocked, 1},
		{302, "", KindUnknown, 1},
		{315, "", KindAuth, 1},
		{403, "", KindAuth, 1},
		{404, "", KindUnknownAccount, 1},
		{405, "", KindBadRequest, 1},
		{406, "", KindBadRequest, 1},
		{408, "", KindRetry, 2},
		{413, "", KindUnknown, 1},
		{416, "", KindRate, 1},
		{417, "", KindUnknown, 1},
		{418, "", KindUnknown, 1},
		{419, "", KindQuota, 1},
		{422, "", KindBlocked, 1},
		{423, "", KindUnknown, 1},
		{431, "", KindRetry, 2},
		{449, "", KindRetry, 2},
		{463, "", KindRefused, 1},
		{500, "", KindRetry, 2},
		{503, "", KindRetry, 2},
		{508, "", KindUnknown, 1},
		{509, "", KindBadRequest, 1},
		{511, "", KindRetry, 2},
		{514, "", KindRetry, 2},
		{599, "", KindRetry, 2},
		{101301, "", KindAuth, 1},
		{101302, "", KindAuth, 1},
		{101303, "", KindAuth, 1},
		{101304, "", KindAuth, 1},
		{101305, "", KindAuth, 1},
		{102404, "", KindUnknownAccount, 1},
		{102405, "", KindExists, 1},
		{102421, "", KindUnknown, 1},
		{102422, "", KindBlocked, 1},
		{102434, "", KindQuota, 1},
		{102449, "", KindRetry, 2},
		{103404, "", KindUnknownAccount, 1},
		{103451, "", KindRefused, 1},
		{200000, "", KindUnknown, 1},
		{-1, "", KindUnknown, 1},

		{414, "already register", KindExists, 1},
		{414, "Already Registered", KindExists, 1},
		{414, "wx_0001 is not registered", KindUnknownAccount, 1},
		{414, "CHECKSUM1 is not registered.", KindUnknownAccount, 1},
		{414, "checksum", KindAuth, 1},
		{414, "CheckSum error", KindAuth, 1},
		{414, "appkey", KindAuth, 1},
		{414, "CurTime is expired", KindAuth, 1},
		{414, "bad http header", KindAuth, 1},
		{414, "authentication failed", KindAuth, 1},
		{414, "accid is empty", KindBadRequest, 1},
		{414, "parameter error", KindBadRequest, 1},
		{414, "", KindBadRequest, 1},
	}
	both(t, yunxintest.Config{PerSecond: 1000}, func(t *testing.T, sim *yunxintest.Server, api string) {
		for _, row := range rows {
			t.Run(fmt.Sprint(row.code, row.text), func(t *testing.T) {
				c := client(t, sim, api)
				sim.ClearJournal()
				sim.Inject(yunxintest.Fault{Code: row.code, Text: row.text, Times: 2})
				defer sim.ClearFaults()
				_, err := c.Create(t.Context(), Account{Accid: "a"})
				e := wantKind(t, err, row.want)
				if e.API != "create" || e.Code != row.code || e.Desc != row.text || errors.Is(err, ErrExists) != (row.want == KindExists) {
					t.Errorf("%+v", e)
				}
				if bare := (&APIError{Code: row.code, Desc: row.text}); bare.Kind() != row.want {
					t.Errorf("built by hand: kind %s", bare.Kind())
				}
				if got := len(sim.Journal("")); got != row.calls {
					t.Errorf("%d calls, want %d", got, row.calls)
				}
			})
		}
	})
}

// Real refusals by the simulator, as opposed to injected codes.
func TestAuthFailures(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		for name, edit := range map[string]func(*Config){
			"secret":        func(cfg *Config) { cfg.AppSecret = yunxintest.AppKey }, // a mistake that customers make
			"key":           func(cfg *Config) { cfg.AppKey = "0" },
			"clock ahead":   func(cfg *Config) { cfg.Now = func() time.Time { return sim.Now().Add(6 * time.Minute) } },
			"clock behind":  func(cfg *Config) { cfg.Now = func() time.Time { return sim.Now().Add(-6 * time.Minute) } },
			"empty secrets": func(cfg *Config) { cfg.AppKey, cfg.AppSecret = "", "" },
		} {
			for _, v2Code := range []int{403, 414} {
				t.Run(fmt.Sprint(name, v2Code), func(t *testing.T) {
					sim.ClearJournal()
					sim.Change(func(b *yunxintest.Behaviour) { b.V2AuthCode = v2Code })
					_, err := client(t, sim, api, edit).Ensure(t.Context(), Account{Accid: "a", Token: "t", Name: "n"})
					e := wantKind(t, err, KindAuth)
					if got := len(sim.Journal("")); got != 1 || errors.Is(err, ErrExists) {
						t.Errorf("%d calls, error %v", got, err)
					}
					want := time.Duration(0)
					switch name {
					case "clock ahead":
						want = 6 * time.Minute
					case "clock behind":
						want = -6 * time.Minute
					}
					if (e.Skew-want).Abs() > 30*time.Second || strings.Contains(e.Error(), "clock") != (want != 0) {
						t.Errorf("skew %v in %q, want about %v", e.Skew, e, want)
					}
				})
			}
		}
		if sim.Accounts() != 0 {
			t.Error("an account was made")
		}
	})
}

func TestNonsense(t *testing.T) {
	replies := map[string]yunxintest.Fault{
		"empty":            {Status: 200},
		"html":             {Status: 200, Body: "<html>"},
		"truncated":        {Status: 200, Body: `{"code":200,"info":{"acc`},
		"no code":          {Status: 200, Body: `{"desc":"already register"}`},
		"null code":        {Status: 200, Body: `{"code":null}`},
		"code of letters":  {Status: 200, Body: `{"code":"ok"}`},
		"code too big":     {Status: 200, Body: `{"code":99999999999999999999}`},
		"code as fraction": {Status: 200, Body: `{"code":200.5}`},
		"array":            {Status: 200, Body: `[{"code":200}]`},
		"two values":       {Status: 200, Body: `{"code":200}{"code":200}`},
		"too long":         {Status: 200, Body: `{"code":200,"x":"` + strings.Repeat("x", maxBody) + `"}`},
		"padded":           {Status: 200, Body: `{"code":200}` + strings.Repeat(" ", maxBody)},
		"502":              {Status: 502},
		"504":              {Status: 504},
		"201":              {Status: 201, Body: `{"code":200}`},
		"403":              {Status: 403, Body: `{"code":403}`},
		"reset":            {Reset: true},
		"cut":              {Cut: true},
	}
	for name, fault := range replies {
		fault.Times = 2
		t.Run(name, func(t *testing.T) {
			both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
				sim.Inject(fault)
				_, err := client(t, sim, api).Create(t.Context(), Account{Accid: "a"})
				if e := unavailable(t, err); e.API != "create" || "http://"+e.Host != sim.URL {
					t.Errorf("%+v", e)
				}
				if got := len(sim.Journal("")); got != 2 {
					t.Errorf("%d calls, want 2", got)
				}
			})
		})
	}
}

// A redirect, followed, would take the signature to another host.
func TestRedirect(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	defer sim.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, sim.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	_, err := client(t, sim, "v2", func(cfg *Config) { cfg.URLs = []string{srv.URL} }).Create(t.Context(), Account{Accid: "a"})
	if unavailable(t, err); len(sim.Journal("")) != 0 {
		t.Error("the redirect was followed")
	}
}

// A server, or something in between, that repeats all it is given, in every
// place that an error text could take it from.
func TestRedaction(t *testing.T) {
	const secret, token = "5ecre7value1", "70ken-of-the-player"
	for name, reply := range map[string]func(w http.ResponseWriter, echo string){
		"desc":   func(w http.ResponseWriter, echo string) { fmt.Fprintf(w, `{"code":414,"desc":%q}`, echo) },
		"msg":    func(w http.ResponseWriter, echo string) { fmt.Fprintf(w, `{"code":500,"msg":%q}`, echo) },
		"body":   func(w http.ResponseWriter, echo string) { io.WriteString(w, echo) },
		"status": func(w http.ResponseWriter, echo string) { http.Error(w, echo, 500) },
		"broken http": func(w http.ResponseWriter, echo string) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(conn, echo+"\r\n\r\n")
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var signatures []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				signatures = append(signatures, r.Header.Get("CheckSum"))
				reply(w, fmt.Sprintf("%s %s %s\nforged log line", secret, r.Header.Get("CheckSum"), body))
			}))
			defer srv.Close()
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, nil))
			for _, api := range []string{"v1", "v2"} {
				c := New(Config{AppKey: "key", AppSecret: secret, API: api, URLs: []string{srv.URL}, HTTP: srv.Client()})
				_, err1 := c.Ensure(t.Context(), Account{Accid: "a", Token: token, Name: "n"})
				err2 := c.SetToken(t.Context(), "a", token)
				for _, err := range []error{err1, err2} {
					if err == nil {
						t.Fatal("no error")
					}
					fmt.Fprintf(&log, "%v", err)
					logger.Error("call", "err", err)
					if strings.Contains(err.Error(), "\n") {
						t.Errorf("several lines: %q", err)
					}
				}
			}
			for _, private := range append(signatures, secret, token) {
				if strings.Contains(log.String(), private) {
					t.Errorf("%q in %s", private, log.String())
				}
			}
			if len(signatures) == 0 {
				t.Error("nothing was sent")
			}
		})
	}
}

// The accid is in v2's URLs, which Go's client errors repeat.
func TestErrorHasNoURL(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	c := client(t, sim, "v2")
	sim.Close()
	err := c.SetToken(t.Context(), "player", "t")
	unavailable(t, err)
	if text := err.Error(); strings.Contains(text, "player") || strings.Contains(text, "/im/") {
		t.Errorf("%q", text)
	}
}

func FuzzDecodeReply(f *testing.F) {
	for _, s := range []string{
		`{"code":200,"info":{"token":"t","accid":"a","name":"n"}}`, `{"desc":"already register","code":414}`,
		`{"code":"200","info":"{\"accid\":\"a\"}"}`, `{"code":102405,"msg":"exists","data":{}}`, `{"code":1e2}`, `[]`, ``, `{"CODE":1,"code":2}`,
		`{"code":200,"data":{"account_id":{"a":1}}}`, `{"code":-0}`, "{\"code\":414,\"desc\":\"\\u0000\\ud800\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeReply(body)
		if err != nil {
			if r.code != 0 || r.text != "" || r.data != nil {
				t.Errorf("%q: an error and %+v", body, r)
			}
			return
		}
		r.accid()
		kind := classify(r.code, r.text)
		if kind == KindExists && r.code != 414 && r.code != 102405 {
			t.Errorf("%q counts as existing", body)
		}
		if text := clean(r.text, []string{"secret"}); strings.Contains(text, "secret") || strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q", text)
		}
	})
}
