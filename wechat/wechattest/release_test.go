package wechattest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

// The accounts of the release test, by group.
var releaseAccounts = [][2]string{
	{"wx570bc396a51b8ff8", "wxd101a85aa106f53e"},
	{"wx9252c5e0bb1836fc", "wxc39235c15087f6f3"},
	{"wx8e1097c5bc82cde9", "wx7720d01d4b2a4500"},
	{"wx14550af28c71a144", "wx05d483572dcd5d8b"},
	{"wxa35b9c23cfe664eb", "wx5910277cae6fd970"},
}

func TestReleaseTestPasses(t *testing.T) {
	for i, accounts := range releaseAccounts {
		s := start(t)
		p := newThirdParty(t, s, func(c *wechattest.Component) { c.Published = false })
		report, err := s.ReleaseTestGroup(t.Context(), platformID, i+1)
		if err != nil || !report.Passed || report.Group != i+1 || report.ComponentID != platformID || len(report.Steps) != 13 {
			t.Fatalf("group %d: %v %+v", i+1, err, report)
		}
		for n, step := range report.Steps {
			want := ""
			if n > 0 {
				want = accounts[(n-1)/6]
			}
			if !step.OK || step.Account != want || step.Problem != "" {
				t.Errorf("group %d: %+v, want account %q", i+1, step, want)
			}
		}
		// The test leaves nothing behind.
		for _, player := range s.Players() {
			if strings.Contains(player.ID, "release") {
				t.Errorf("group %d: a player %+v", i+1, player)
			}
		}
		state := s.ComponentState(platformID)
		if len(state.Authorizations) != 0 || len(p.pushes) != 5 {
			t.Errorf("group %d: %+v, %d pushes", i+1, state.Authorizations, len(p.pushes))
		}
		wantPanic(t, "grant of a test account", func() { s.Grant(platformID, accounts[0]) })
	}
}

func TestReleaseTestDrawsAGroup(t *testing.T) {
	s := start(t)
	s.Set(func(b *wechattest.Behaviour) { b.CheckFunctions = true }) // the default sets suffice
	newThirdParty(t, s)
	report, err := s.ReleaseTest(t.Context(), platformID)
	if err != nil || !report.Passed || report.Group < 1 || report.Group > wechattest.ReleaseGroups {
		t.Errorf("%v %+v", err, report)
	}
	if report.Steps[1].Account != releaseAccounts[report.Group-1][0] {
		t.Errorf("group %d with %s", report.Group, report.Steps[1].Account)
	}
}

// Each mistake of a platform shows in the step that it belongs to.
func TestReleaseTestFindsMistakes(t *testing.T) {
	const query = "QUERY_AUTH_CODE:"
	official := releaseAccounts[0][0]
	text := func(m innerXML) bool { return m.Content == "TESTCOMPONENT_MSG_TYPE_TEXT" && m.path == official }
	for _, tt := range []struct {
		name    string
		make    func(p *thirdParty)
		step    int // the first that is not OK
		problem string
		passed  bool
	}{
		{"ticket refused", func(p *thirdParty) {
			refused := false
			p.event = func(w http.ResponseWriter, m innerXML) bool {
				if refused || m.InfoType != "component_verify_ticket" {
					return false
				}
				refused = true // WeChat would push it again, the test does not wait for that
				w.WriteHeader(500)
				return true
			}
		}, 0, "status 500", false},
		{"success in quotes", func(p *thirdParty) {
			p.event = func(w http.ResponseWriter, m innerXML) bool {
				if m.InfoType == "unauthorized" {
					io.WriteString(w, `"success"`)
				}
				return m.InfoType == "unauthorized"
			}
		}, 6, "success", false},
		{"grant not exchanged", func(p *thirdParty) { p.noStore = true }, 2, "not exchanged within 1s", true},
		{"no passive reply", func(p *thirdParty) {
			p.reply = func(m innerXML) (string, string, string, bool) { return "", "", "success", text(m) }
		}, 3, "no passive reply", false},
		{"other text", func(p *thirdParty) {
			p.reply = func(m innerXML) (string, string, string, bool) {
				return passive(m, m.Content), "", "", text(m)
			}
		}, 3, "TESTCOMPONENT_MSG_TYPE_TEXT_callback", false},
		{"names not swapped", func(p *thirdParty) {
			p.reply = func(m innerXML) (string, string, string, bool) {
				m.FromUserName, m.ToUserName = m.ToUserName, m.FromUserName
				return passive(m, m.Content+"_callback"), "", "", text(m)
			}
		}, 3, "from the account to the person", false},
		{"other nonce", func(p *thirdParty) {
			p.reply = func(m innerXML) (string, string, string, bool) {
				return passive(m, m.Content+"_callback"), "12345", "", text(m)
			}
		}, 3, "nonce", false},
		{"tail of the account", func(p *thirdParty) {
			p.reply = func(m innerXML) (string, string, string, bool) {
				return passive(m, m.Content+"_callback"), "", official, text(m)
			}
		}, 3, official, false},
		{"query answered", func(p *thirdParty) {
			p.reply = func(m innerXML) (string, string, string, bool) {
				return "", "", "success", strings.HasPrefix(m.Content, query) && m.path == official
			}
		}, 4, `"success", not empty`, false},
		{"query forgotten", func(p *thirdParty) {
			p.send = func(m innerXML, code string) (string, string, string, bool) { return "", "", "", m.path != official }
		}, 4, "the code was not exchanged", false},
		{"an older token", func(p *thirdParty) {
			p.send = func(m innerXML, code string) (string, string, string, bool) { return "older", "", "", true }
		}, 4, "not exchanged with api_query_auth", false},
		{"other content", func(p *thirdParty) {
			p.send = func(m innerXML, code string) (string, string, string, bool) { return "", "", code, true }
		}, 4, "a message is text", false},
		{"to somebody else", func(p *thirdParty) {
			p.send = func(m innerXML, code string) (string, string, string, bool) {
				return "", p.s.OpenID("xiaomei", m.path), "", true
			}
		}, 4, "who wrote", false},
		{"to nobody", func(p *thirdParty) {
			p.send = func(m innerXML, code string) (string, string, string, bool) { return "", "oNobody", "", true }
		}, 4, "though the code was exchanged", false},
		{"no event reply", func(p *thirdParty) {
			p.reply = func(m innerXML) (string, string, string, bool) { return "", "", "success", m.Event == "LOCATION" }
		}, 5, "LOCATIONfrom_callback", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.Set(func(b *wechattest.Behaviour) { b.ReleaseSeconds = 1 })
			p := newThirdParty(t, s)
			tt.make(p)
			report, err := s.ReleaseTestGroup(t.Context(), platformID, 1)
			if err != nil || len(report.Steps) != 13 {
				t.Fatalf("%v %+v", err, report)
			}
			if report.Passed != tt.passed {
				t.Errorf("passed: %v", report.Passed)
			}
			for n, step := range report.Steps[:tt.step+1] {
				if step.OK != (n < tt.step) {
					t.Errorf("step %d: %+v", n, step)
				}
			}
			if got := report.Steps[tt.step]; !strings.Contains(got.Problem, tt.problem) || got.Optional != tt.passed {
				t.Errorf("%+v, want %q", got, tt.problem)
			}
		})
	}
}

func TestReleaseTestItself(t *testing.T) {
	s := start(t)
	if _, err := s.ReleaseTest(t.Context(), platformID); err == nil {
		t.Error("an unknown platform")
	}
	p := newThirdParty(t, s)
	for _, group := range []int{-1, 0, 6} {
		if _, err := s.ReleaseTestGroup(t.Context(), platformID, group); err == nil {
			t.Errorf("group %d", group)
		}
	}
	// Two at once would be in each other's way, and one that is given up leaves
	// nothing behind.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var second error
	p.event = func(_ http.ResponseWriter, m innerXML) bool {
		if m.InfoType == "authorized" {
			_, second = s.ReleaseTestGroup(t.Context(), platformID, 2)
			cancel()
		}
		return false
	}
	if _, err := s.ReleaseTestGroup(ctx, platformID, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if !errors.Is(second, wechattest.ErrReleaseRunning) {
		t.Errorf("at the same time: %v", second)
	}
	if state := s.ComponentState(platformID); len(state.Authorizations) != 0 {
		t.Errorf("left behind: %+v", state.Authorizations)
	}
	p.event = nil
	if report, err := s.ReleaseTestGroup(t.Context(), platformID, 1); err != nil || !report.Passed {
		t.Errorf("afterwards: %v %+v", err, report)
	}
}

// WeChat knows its test accounts after a test, too: that they are not authorized any
// more is what a platform hears of them, and of an appid that is none something else.
func TestReleaseAccountsAfterwards(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	if report, err := s.ReleaseTestGroup(t.Context(), platformID, 2); err != nil || !report.Passed {
		t.Fatalf("%v %+v", err, report)
	}
	for id, want := range map[string]float64{releaseAccounts[1][0]: 61003, releaseAccounts[1][1]: 61003, "wx0000000000000000": 40013} {
		got := p.call(wechattest.AuthorizerInfoPath+"?component_access_token="+p.token,
			map[string]any{"component_appid": platformID, "authorizer_appid": id})
		if got["errcode"] != want {
			t.Errorf("%s: %v", id, got)
		}
	}
}

// An account that the simulator had under a test account's appid is back when
// the test is over.
func TestReleaseTestBorrowsNames(t *testing.T) {
	s := start(t)
	newThirdParty(t, s)
	s.AddApp(wechattest.App{ID: releaseAccounts[2][0], Secret: secret, Name: "我的", UserName: "gh_0123456789ab"})
	if report, err := s.ReleaseTestGroup(t.Context(), platformID, 3); err != nil || !report.Passed {
		t.Fatalf("%v %+v", err, report)
	}
	if got := s.OriginalID(releaseAccounts[2][0]); got != "gh_0123456789ab" {
		t.Errorf("original id %s", got)
	}
}
