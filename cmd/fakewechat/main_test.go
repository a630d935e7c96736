package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// The test binary is the program too, so that signals can be tested for real.
func TestMain(m *testing.M) {
	if os.Getenv("FAKEWECHAT_AS_PROGRAM") != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// program is a running fakewechat with the variables that it printed.
type program struct {
	cmd   *exec.Cmd
	vars  map[string]string
	lines []string
}

func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.Command(exe, append([]string{"-listen", "127.0.0.1:0"}, args...)...), vars: map[string]string{}}
	p.cmd.Env = append(os.Environ(), "FAKEWECHAT_AS_PROGRAM=1")
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill() // no more than an error if it has ended already
		p.cmd.Wait()
	})
	export := regexp.MustCompile(`export (WXGATE_\w+)='(.*)'`)
	for in := bufio.NewScanner(out); in.Scan(); {
		p.lines = append(p.lines, in.Text())
		if m := export.FindStringSubmatch(in.Text()); m != nil {
			p.vars[m[1]] = m[2]
			if m[1] == "WXGATE_YUNXIN_URLS" {
				return p
			}
		}
	}
	t.Fatalf("ended early:\n%s", strings.Join(p.lines, "\n"))
	return nil
}

// TestLoginByHand walks through a login with consent as a browser would, then as
// a server, with nothing but what the program printed.
func TestLoginByHand(t *testing.T) {
	p := startProgram(t)
	base := p.vars["WXGATE_WECHAT_OPEN_URL"]
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	do := func(method, link string, form url.Values) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, link, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", wechattest.UAIOS)
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	appid, secret := p.vars["WXGATE_MP_APP_ID"], p.vars["WXGATE_MP_APP_SECRET"]
	authorize := base + "/connect/oauth2/authorize?appid=" + appid + "&redirect_uri=" +
		url.QueryEscape("http://127.0.0.1:8080/.wxgate/callback") +
		"&response_type=code&scope=snsapi_userinfo&state=s1&connect_redirect=1"

	if _, body := do("GET", authorize, nil); !strings.Contains(body, "你是谁") {
		t.Fatalf("no choice of players: %s", body)
	}
	if res, _ := do("POST", authorize, url.Values{"player": {"aqiang"}}); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("choice: status %d", res.StatusCode)
	}
	if _, body := do("GET", authorize, nil); !strings.Contains(body, "同意") || !strings.Contains(body, "阿强") {
		t.Fatalf("no consent page: %s", body)
	}
	res, _ := do("POST", authorize, url.Values{"consent": {"agree"}})
	callback, err := url.Parse(res.Header.Get("Location"))
	if err != nil || callback.Host != "127.0.0.1:8080" || callback.Query().Get("state") != "s1" {
		t.Fatalf("callback %q", res.Header.Get("Location"))
	}

	api := p.vars["WXGATE_WECHAT_API_URL"]
	var token struct {
		AccessToken string `json:"access_token"`
		OpenID      string `json:"openid"`
	}
	_, body := do("GET", api+"/sns/oauth2/access_token?"+url.Values{
		"appid": {appid}, "secret": {secret}, "code": {callback.Query().Get("code")}, "grant_type": {"authorization_code"},
	}.Encode(), nil)
	if err := json.Unmarshal([]byte(body), &token); err != nil || token.OpenID == "" {
		t.Fatalf("exchange: %s", body)
	}
	_, body = do("GET", api+"/sns/userinfo?"+url.Values{"access_token": {token.AccessToken}, "openid": {token.OpenID}, "lang": {"zh_CN"}}.Encode(), nil)
	var profile struct {
		Nickname string `json:"nickname"`
		Avatar   string `json:"headimgurl"`
	}
	if err := json.Unmarshal([]byte(body), &profile); err != nil || !strings.HasPrefix(profile.Nickname, "阿强") {
		t.Fatalf("profile: %s", body)
	}
	if res, _ := do("GET", profile.Avatar, nil); res.StatusCode != 200 || res.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("picture %s: %d %s", profile.Avatar, res.StatusCode, res.Header.Get("Content-Type"))
	}
	if _, body := do("GET", base+"/sim/", nil); !strings.Contains(body, "aqiang") || strings.Contains(body, secret) {
		t.Error("the control page lacks the player, or shows the secret")
	}
}

// Yunxin answers at the address printed for it, in both generations.
func TestYunxinIsServedToo(t *testing.T) {
	p := startProgram(t)
	base := p.vars["WXGATE_YUNXIN_URLS"]
	for _, tt := range []struct{ path, contentType, body string }{
		{"/im/v2/accounts", "application/json", `{"account_id":"player1"}`},
		{"/nimserver/user/create.action", "application/x-www-form-urlencoded", "accid=player2"},
	} {
		now := strconv.FormatInt(time.Now().Unix(), 10)
		sum := sha1.Sum([]byte(p.vars["WXGATE_YUNXIN_APP_SECRET"] + "nonce" + now))
		req, err := http.NewRequest("POST", base+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"AppKey": p.vars["WXGATE_YUNXIN_APP_KEY"], "Nonce": "nonce", "CurTime": now,
			"CheckSum": hex.EncodeToString(sum[:]), "Content-Type": tt.contentType,
		} {
			req.Header.Set(name, value)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Code int }
		err = json.NewDecoder(res.Body).Decode(&answer)
		res.Body.Close()
		if err != nil || answer.Code != 200 {
			t.Errorf("%s: status %d, code %d, %v", tt.path, res.StatusCode, answer.Code, err)
		}
	}
	// Its stand-in for a page's SDK lies inside the other simulator's /sim/.
	res, err := http.Post(base+"/sim/login", "application/json", strings.NewReader(`{"account":"player1"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(answer), `"code":302`) {
		t.Errorf("/sim/login: status %d, %s", res.StatusCode, answer)
	}
}

func TestStopsOnSignals(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(fmt.Sprint(signal), func(t *testing.T) {
			p := startProgram(t)
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	tests := []struct {
		name     string
		args     []string
		wantCode int
		wantText string
	}{
		{"help", []string{"-h"}, exitOK, "-any-browser"},
		{"unknown flag", []string{"-x"}, exitUsage, "-x"},
		{"argument", []string{"now"}, exitUsage, `"now"`},
		{"app too short", []string{"-app", "mp:wx0123456789abcdef"}, exitUsage, "kind:appid:secret"},
		{"app of no kind", []string{"-app", "tv:wx0123456789abcdef:s"}, exitUsage, "mp, web, mobile or mini"},
		{"appid", []string{"-app", "mp:gh_1:s"}, exitUsage, "16 hex digits"},
		{"callback host with a port", []string{"-app", "mp:wx0123456789abcdef:s:a.test:80"}, exitUsage, "bare lower-case host"},
		{"three callback hosts", []string{"-app", "mp:wx0123456789abcdef:s:a.test,b.test,c.test"}, exitUsage, "two callback hosts"},
		{"public with a path", []string{"-public", "http://a.test/x"}, exitUsage, "base URL"},
		{"no address", []string{"-listen", "127.0.0.1:port"}, exitFailure, "port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // nothing here is meant to serve
			var stdout, stderr bytes.Buffer
			if code := run(ctx, tt.args, &stdout, &stderr); code != tt.wantCode || !strings.Contains(stderr.String(), tt.wantText) {
				t.Errorf("exit code %d, want %d; %s", code, tt.wantCode, stderr.String())
			}
		})
	}
}

func TestOwnApps(t *testing.T) {
	p := startProgram(t, "-app", "web:wx1111111111111111:websecret:play.example.com",
		"-app", "mp:wx2222222222222222:mpsecret:play.example.com",
		"-app", "mp:wx3333333333333333:secondsecret:play.example.com", "-public", "http://wechat.test:8090/")
	for name, want := range map[string]string{
		"MP_APP_ID": "wx2222222222222222", "MP_APP_SECRET": "mpsecret",
		"WEB_APP_ID": "wx1111111111111111", "WEB_APP_SECRET": "websecret",
		"MOBILE_APP_ID": "", "WECHAT_API_URL": "http://wechat.test:8090",
	} {
		if got := p.vars["WXGATE_"+name]; got != want {
			t.Errorf("WXGATE_%s is %q, want %q", name, got, want)
		}
	}
	all := strings.Join(p.lines, "\n")
	if !strings.Contains(all, "web    wx1111111111111111") || !strings.Contains(all, "wx3333333333333333") || strings.Contains(all, "secondsecret") {
		t.Errorf("printed:\n%s", all)
	}
}

// Each kind of app has a sample, and a code for it can be had and exchanged.
func TestSampleApps(t *testing.T) {
	p := startProgram(t)
	api := p.vars["WXGATE_WECHAT_API_URL"]
	for kind, path := range map[string]string{
		"MP": "/sns/oauth2/access_token", "WEB": "/sns/oauth2/access_token", "MOBILE": "/sns/oauth2/access_token", "MINI": "/sns/jscode2session",
	} {
		appid, secret := p.vars["WXGATE_"+kind+"_APP_ID"], p.vars["WXGATE_"+kind+"_APP_SECRET"]
		fetch := func(res *http.Response, err error) string {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		code := fetch(http.PostForm(api+"/sim/code", url.Values{"appid": {appid}, "player": {"xiaomei"}}))
		answer := fetch(http.Get(api + path + "?" + url.Values{
			"appid": {appid}, "secret": {secret}, "code": {code}, "js_code": {code}, "grant_type": {"authorization_code"},
		}.Encode()))
		if !strings.Contains(answer, `"openid":"o`) {
			t.Errorf("%s: code %q: %s", kind, code, answer)
		}
	}
}
