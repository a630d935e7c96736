package clawmachine

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wxgate/yunxin/yunxintest"
)

func TestYunxinLogin(t *testing.T) {
	yunxin := yunxintest.New(yunxintest.Config{Behaviour: yunxintest.Behaviour{DynamicLogin: true}})
	yunxin.Add(yunxintest.Account{Accid: aliceID, Token: "right"})
	answer := "" // instead of the simulator's
	simulator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer != "" {
			io.WriteString(w, answer)
			return
		}
		yunxin.ServeHTTP(w, r)
	}))
	t.Cleanup(simulator.Close)
	app, keys, now := newApp(t, func(c *Config) { c.YunxinLoginURL = simulator.URL + "/sim/login" })
	assertion := keys.first().sign(t, claimsFor(now.Now(), aliceID, nil))
	ask := func(assertion, kind, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/api/yunxin-login", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.Header.Set(assertionHeader, assertion)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w
	}
	const mine = `{"appKey":"` + yunxintest.AppKey + `","account":"` + aliceID + `","token":"right","authType":0,"nick":"x"}`
	wrong := strings.Replace(mine, "right", "wrong", 1)

	type result struct {
		OK    bool
		Code  int
		Error string
	}
	tests := []struct {
		name, assertion, kind, body, answer string
		status                              int
		want                                result
	}{
		{"accepted", assertion, "application/json", mine, "", 200, result{OK: true, Code: 200}},
		{"wrong token", assertion, "application/json; charset=utf-8", wrong, "", 200, result{Code: 302}},
		{"static token as dynamic", assertion, "application/json", strings.Replace(mine, `"authType":0`, `"authType":1`, 1), "", 200, result{Code: 302}},
		{"nonsense", assertion, "application/json", mine, `<html>`, 502, result{Error: "yunxin_unavailable"}},
		{"no code", assertion, "application/json", mine, `{}`, 502, result{Error: "yunxin_unavailable"}},
		{"another's account", assertion, "application/json", strings.Replace(mine, aliceID, bobID, 1), "", 403, result{Error: "not_yours"}},
		{"a form", assertion, "application/x-www-form-urlencoded", mine, "", 400, result{Error: "bad_request"}},
		{"no account", assertion, "application/json", `{"token":"t"}`, "", 400, result{Error: "bad_request"}},
		{"nobody", "", "application/json", mine, "", 401, result{Error: "unverified"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer = test.answer
			w := ask(test.assertion, test.kind, test.body)
			if got := decodeBody[result](t, w); w.Code != test.status || got != test.want {
				t.Errorf("status %d %+v, want %d %+v", w.Code, got, test.status, test.want)
			}
		})
	}

	simulator.Close()
	if got := ask(assertion, "application/json", mine).Code; got != http.StatusBadGateway {
		t.Errorf("without a simulator: %d", got)
	}
	app.config.YunxinLoginURL = ""
	if got := ask(assertion, "application/json", mine).Code; got != http.StatusNotFound {
		t.Errorf("not configured: %d", got)
	}
}
