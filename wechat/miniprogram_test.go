package wechat_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

var mini = wechat.App{ID: "wx2222222222222222", Secret: "minisecret"}

func startMini(t *testing.T, bound bool) (*wechattest.Server, *wechat.Client) {
	t.Helper()
	s, c := start(t, wechat.Config{})
	s.AddApp(wechattest.App{ID: mini.ID, Secret: mini.Secret, Kind: wechattest.MiniProgram, Bound: bound})
	return s, c
}

func TestCode2Session(t *testing.T) {
	for _, bound := range []bool{false, true} {
		for _, errcode := range []bool{false, true} {
			t.Run(fmt.Sprintf("bound %v, errcode 0 %v", bound, errcode), func(t *testing.T) {
				s, c := startMini(t, bound)
				s.Set(func(b *wechattest.Behaviour) { b.SessionErrcode = errcode })
				got, err := c.Code2Session(t.Context(), mini, s.IssueCode(mini.ID, "snapshot", ""))
				want := wechat.Session{OpenID: s.OpenID("snapshot", mini.ID), UnionID: s.UnionID("snapshot", mini.ID)}
				if err != nil || got != want || (got.UnionID != "") != bound {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
			})
		}
	}
}

func TestCode2SessionRefusals(t *testing.T) {
	tests := []struct {
		name string
		app  wechat.App
		code func(*wechattest.Server, *wechat.Client) string
		want int
		kind wechat.Kind
	}{
		{"unknown code", mini, func(*wechattest.Server, *wechat.Client) string { return "x" }, 40029, wechat.KindCode},
		{"used code", mini, func(s *wechattest.Server, c *wechat.Client) string {
			code := s.IssueCode(mini.ID, "xiaomei", "")
			if _, err := c.Code2Session(t.Context(), mini, code); err != nil {
				t.Fatal(err)
			}
			return code
		}, 40163, wechat.KindCode},
		{"expired code", mini, func(s *wechattest.Server, _ *wechat.Client) string {
			code := s.IssueCode(mini.ID, "xiaomei", "")
			s.Advance(5 * time.Minute)
			return code
		}, 40029, wechat.KindCode},
		{"code of a service account", mini, func(s *wechattest.Server, _ *wechat.Client) string { return goodCode(s) }, 40029, wechat.KindCode},
		{"app that is no mini program", app, func(s *wechattest.Server, _ *wechat.Client) string { return goodCode(s) }, 40029, wechat.KindCode},
		{"no code", mini, func(*wechattest.Server, *wechat.Client) string { return "" }, 41008, wechat.KindCode},
		{"overlong code", mini, func(*wechattest.Server, *wechat.Client) string { return strings.Repeat("x", 513) }, 40029, wechat.KindCode},
		{"high-risk person", mini, func(s *wechattest.Server, _ *wechat.Client) string { return s.IssueCode(mini.ID, "risky", "") }, 40226, wechat.KindUser},
		{"too often", mini, func(s *wechattest.Server, c *wechat.Client) string {
			s.Set(func(b *wechattest.Behaviour) { b.SessionPerMinute = 1 })
			c.Code2Session(t.Context(), mini, s.IssueCode(mini.ID, "xiaomei", ""))
			return s.IssueCode(mini.ID, "xiaomei", "")
		}, 45011, wechat.KindBusy},
		{"wrong secret", wechat.App{ID: mini.ID, Secret: "x"}, func(s *wechattest.Server, _ *wechat.Client) string { return s.IssueCode(mini.ID, "xiaomei", "") }, 40125, wechat.KindConfig},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c := startMini(t, true)
			got, err := c.Code2Session(t.Context(), tt.app, tt.code(s, c))
			wantAPIError(t, err, tt.want, tt.kind)
			if got != (wechat.Session{}) {
				t.Errorf("a session beside an error: %+v", got)
			}
		})
	}
}

// The code of a mini program is of no use as a web login.
func TestMiniProgramCodeIsNoWebCode(t *testing.T) {
	s, c := startMini(t, true)
	_, err := c.Exchange(t.Context(), mini, s.IssueCode(mini.ID, "xiaomei", ""))
	wantAPIError(t, err, 40029, wechat.KindCode)
}

// As with a web code, nothing may send it twice, net/http least of all.
func TestCode2SessionIsNotRepeated(t *testing.T) {
	s, c := startMini(t, true)
	for range 3 {
		if _, err := c.Code2Session(t.Context(), mini, s.IssueCode(mini.ID, "xiaomei", "")); err != nil {
			t.Fatal(err)
		}
		s.Inject(wechattest.Code2SessionPath, wechattest.Drop)
		code := s.IssueCode(mini.ID, "xiaomei", "")
		_, err := c.Code2Session(t.Context(), mini, code)
		wantUnavailable(t, err, 0)
		if n := s.Exchanges()[code]; n != 1 {
			t.Fatalf("the code was sent %d times", n)
		}
	}
}

// session_key opens a person's data. Neither a result nor an error shows it,
// however spoilt the answer is.
func TestSessionKeyStaysInside(t *testing.T) {
	const key = "planted0session0key0000="
	for name, body := range map[string]string{
		"good":            `{"session_key":"` + key + `","openid":"oX"}`,
		"no openid":       `{"session_key":"` + key + `"}`,
		"key as openid":   `{"session_key":"` + key + `","openid":"` + key + ` "}`,
		"bad errcode":     `{"session_key":"` + key + `","openid":"oX","errcode":"` + key + `"}`,
		"cut short":       `{"session_key":"` + key + `","openid":"oX`,
		"array":           `[{"session_key":"` + key + `","openid":"oX"}]`,
		"key in a number": `{"session_key":` + key + `,"openid":"oX"}`,
	} {
		t.Run(name, func(t *testing.T) {
			fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }))
			defer fake.Close()
			session, err := wechat.New(wechat.Config{APIURL: fake.URL}).Code2Session(t.Context(), mini, "code")
			if (err == nil) != (name == "good") {
				t.Errorf("error %v", err)
			}
			encoded, _ := json.Marshal(session)
			if text := fmt.Sprintf("%+v %#v %s %v %+v", session, session, encoded, err, err); strings.Contains(text, key) {
				t.Errorf("shown: %s", text)
			}
		})
	}
}
