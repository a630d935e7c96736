package wechat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat"
)

// plantedPhone is no secret of ours, but somebody's.
const plantedPhone = "planted+8613800000000"

// plantedTicket needs escaping in JSON as well, in both ways there are.
const plantedTicket = `planted"ticket\<&>0123456789`

// secretCalls are the calls of a third-party platform with all its secrets planted.
func secretCalls(c *wechat.Client) map[string]func(ctx context.Context) error {
	planted := wechat.App{ID: componentID, Secret: plantedSecret}
	on := wechat.Behalf{AppID: authorizerID, ComponentAppID: componentID, ComponentToken: plantedToken}
	return map[string]func(ctx context.Context) error{
		"ComponentToken":  func(ctx context.Context) error { _, err := c.ComponentToken(ctx, planted, plantedTicket); return err },
		"StartPushTicket": func(ctx context.Context) error { _, err := c.StartPushTicket(ctx, planted); return err },
		"PreAuthCode": func(ctx context.Context) error {
			_, _, err := c.PreAuthCode(ctx, plantedToken, componentID)
			return err
		},
		"QueryAuth": func(ctx context.Context) error {
			_, err := c.QueryAuth(ctx, plantedToken, componentID, plantedCode)
			return err
		},
		"AuthorizerToken": func(ctx context.Context) error {
			_, err := c.AuthorizerToken(ctx, plantedToken, componentID, authorizerID, plantedTicket)
			return err
		},
		"AuthorizerInfo": func(ctx context.Context) error {
			_, err := c.AuthorizerInfo(ctx, plantedToken, componentID, authorizerID)
			return err
		},
		"AuthorizerList": func(ctx context.Context) error {
			_, _, err := c.AuthorizerList(ctx, plantedToken, componentID, 0, 500)
			return err
		},
		"AuthorizerOption": func(ctx context.Context) error {
			_, err := c.AuthorizerOption(ctx, plantedToken, componentID, authorizerID, "x")
			return err
		},
		"SetAuthorizerOption": func(ctx context.Context) error {
			return c.SetAuthorizerOption(ctx, plantedToken, componentID, authorizerID, "x", "1")
		},
		"Templates":      func(ctx context.Context) error { _, err := c.Templates(ctx, plantedToken, 1); return err },
		"Drafts":         func(ctx context.Context) error { _, err := c.Drafts(ctx, plantedToken); return err },
		"AddTemplate":    func(ctx context.Context) error { return c.AddTemplate(ctx, plantedToken, 1, 0) },
		"DeleteTemplate": func(ctx context.Context) error { return c.DeleteTemplate(ctx, plantedToken, 1) },
		"RegisterMiniProgram": func(ctx context.Context) error {
			_, err := c.RegisterMiniProgram(ctx, plantedToken, wechat.Registration{Name: "x", Code: "y", Phone: plantedPhone})
			return err
		},
		"ExchangeOnBehalf":     func(ctx context.Context) error { _, err := c.ExchangeOnBehalf(ctx, on, plantedCode); return err },
		"RefreshOnBehalf":      func(ctx context.Context) error { _, err := c.RefreshOnBehalf(ctx, on, plantedTicket); return err },
		"Code2SessionOnBehalf": func(ctx context.Context) error { _, err := c.Code2SessionOnBehalf(ctx, on, plantedCode); return err },
	}
}

func TestNoSecretInComponentErrors(t *testing.T) {
	var elsewhere int
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer thief.Close()
	// serve answers with what it got: the query and the body, whole and in parts.
	serve := func(answer func(w http.ResponseWriter, r *http.Request, query, body string, values []string)) wechat.Config {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var values []string
			for _, all := range r.URL.Query() {
				values = append(values, all...)
			}
			var fields map[string]any
			json.Unmarshal(body, &fields)
			for _, v := range fields {
				values = append(values, fmt.Sprint(v))
			}
			answer(w, r, r.URL.RawQuery, string(body), values)
		}))
		t.Cleanup(s.Close)
		return wechat.Config{APIURL: s.URL}
	}
	for name, cfg := range map[string]wechat.Config{
		"nobody listens":                 {APIURL: "http://" + closedPort(t)},
		"not a URL":                      {APIURL: "http://127.0.0.1:port"},
		"control character in the URL":   {APIURL: "http://127.0.0.1\x7f"},
		"not HTTP, echoes the request":   {APIURL: "http://" + echo(t, "")},
		"bad header, echoes the request": {APIURL: "http://" + echo(t, "HTTP/1.1 200 OK\r\n")},
		"error page": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			http.Error(w, query+body, http.StatusBadGateway)
		}),
		"errmsg with everything": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			fmt.Fprintf(w, `{"errcode":61009,"errmsg":%s}`, quote("rid: "+query+" "+body+" "+strings.Join(values, " ")))
		}),
		"errmsg with single values, escaped": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			var text string
			for _, v := range values {
				text += " " + url.QueryEscape(v)
			}
			fmt.Fprintf(w, `{"errcode":"-1","errmsg":%s}`, quote(text))
		}),
		"errcode with everything": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			fmt.Fprintf(w, `{"errcode":%s}`, quote(query+body))
		}),
		"ids with everything": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			all := quote(query + body + strings.Join(values, " "))
			fmt.Fprintf(w, `{"openid":%[1]s,"authorization_info":{"authorizer_appid":%[1]s},"authorizer_info":{},"total_count":%[1]s,
				"template_list":[{"template_id":%[1]s}],"draft_list":[%[1]s],"authorize_url":%[1]s}`, all)
		}),
		"body cut short": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			w.Header().Set("Content-Length", "10000")
			io.WriteString(w, query+body)
		}),
		"redirect elsewhere": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			http.Redirect(w, r, thief.URL+"/?"+query, http.StatusFound)
		}),
		"redirect with method and body kept": serve(func(w http.ResponseWriter, r *http.Request, query, body string, values []string) {
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		}),
		"transport that quotes all": {HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			var body []byte
			if r.Body != nil {
				body, _ = io.ReadAll(r.Body)
			}
			return nil, fmt.Errorf("sending %s to %s: %w", body, r.URL, &url.Error{Op: r.Method, URL: r.URL.String(), Err: io.EOF})
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			c := wechat.New(cfg)
			for call, do := range secretCalls(c) {
				err := do(t.Context())
				wantNoSecret(t, err)
				if t.Failed() {
					t.Fatalf("%s: %v", call, errors.Unwrap(err))
				}
			}
		})
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
	}
}

// quote writes a JSON string.
func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
