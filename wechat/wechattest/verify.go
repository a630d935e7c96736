package wechattest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// VerifyFile is the file that the console asks the owner of a domain to put at
// its root: MP_verify_ and 16 letters and digits, which are its body too.
func (s *Server) VerifyFile(appid string) (name, body string) { return verifyFile(appid) }

func verifyFile(appid string) (name, body string) {
	body = strings.Map(func(c rune) rune {
		if c == '-' || c == '_' {
			return 'x'
		}
		return c
	}, identifier("verify", appid)[1:17])
	return "MP_verify_" + body + ".txt", body
}

// RegisterDomain does what WeChat does when a domain is entered in the console:
// it fetches the verification file from origin, e.g. https://play.example.com,
// following no redirect, and registers the host as callback host and JS-SDK
// domain only if the body is right to the byte.
//
// WeChat finds the host by its name; here origin says also where it listens.
func (s *Server) RegisterDomain(ctx context.Context, appid, origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("%q is not an origin such as https://play.example.com", origin)
	}
	s.mu.Lock()
	app, found := s.apps[appid]
	s.mu.Unlock()
	if !found {
		return errors.New("no such app")
	}
	name, want := verifyFile(appid)
	e := Entry{Time: s.Now(), Method: http.MethodGet, Path: "/" + name, Query: url.Values{"origin": {origin}}, Result: "verified"}
	if err := fetchVerifyFile(ctx, u.Scheme+"://"+u.Host+"/"+name, want); err != nil {
		e.Result = "not verified"
		s.record(e)
		return err
	}
	s.record(e)
	if host := strings.ToLower(u.Hostname()); !slices.Contains(app.CallbackHosts, host) {
		app.CallbackHosts = append(slices.Clone(app.CallbackHosts), host)
		if !slices.Contains(app.JSDomains, host) {
			app.JSDomains = append(slices.Clone(app.JSDomains), host)
		}
		if err := app.Check(); err != nil {
			return err
		}
		s.AddApp(app)
	}
	return nil
}

func fetchVerifyFile(ctx context.Context, link, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("无法访问 %s: %w", link, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1024))
	switch {
	case err != nil:
		return fmt.Errorf("无法访问 %s: %w", link, err)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("无法访问 %s: HTTP 状态 %d", link, res.StatusCode)
	case string(body) != want:
		return fmt.Errorf("%s 内容与下载文件不符", link)
	}
	return nil
}
