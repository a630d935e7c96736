package wechat_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wxgate/wechat"
)

const (
	componentID     = "wxc0ffee0123456789"
	componentSecret = "c0ffee0000111122223333444455556666"
	componentToken  = "57_Tok-en@@@cat"
	authorizerID    = "wx1a2b3c4d5e6f7081"
	refreshToken    = "refreshtoken@@@sim-0001"
)

var component = wechat.App{ID: componentID, Secret: componentSecret}

// sent is one call as WeChat gets it.
type sent struct {
	Method, Path, Query, Body string
}

// wire is a WeChat that answers everything alike and writes down what it got.
type wire struct {
	mu     sync.Mutex
	answer string
	got    []sent
}

func startWire(t *testing.T, answer string) (*wire, *wechat.Client) {
	t.Helper()
	w := &wire{answer: answer}
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return w, wechat.New(wechat.Config{APIURL: s.URL, HTTP: &http.Client{Transport: tr}})
}

func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Method == http.MethodPost && (r.ContentLength != int64(len(body)) || r.Header.Get("Content-Type") != "application/json") {
		body = append(body, " with another length or type"...)
	}
	w.got = append(w.got, sent{r.Method, r.URL.Path, r.URL.RawQuery, string(body)})
	io.WriteString(out, w.answer)
}

// say sets the answer and forgets what came before.
func (w *wire) say(answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer, w.got = answer, nil
}

func (w *wire) calls() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got
}

// nothing is what a call without a result returns.
func nothing(err error) (any, error) { return nil, err }

var behalf = wechat.Behalf{AppID: authorizerID, ComponentAppID: componentID, ComponentToken: componentToken}

// preAuth and listed hold several results.
type preAuth struct {
	Code string
	Life time.Duration
}

type listed struct {
	Total int
	List  []wechat.ListedAuthorizer
}

func TestComponentCalls(t *testing.T) {
	for _, tt := range componentCalls {
		t.Run(tt.name, func(t *testing.T) {
			w, c := startWire(t, tt.answer)
			got, err := tt.do(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.result, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]sent{tt.want}, w.calls()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever WeChat answers instead, it is an error, of the right kind, and nothing
// comes beside it.
func TestComponentFailures(t *testing.T) {
	for _, tt := range componentCalls {
		t.Run(tt.name, func(t *testing.T) {
			w, c := startWire(t, "")
			for _, answer := range []string{``, `[]`, `null`, `<html>`, `{}`, `{"errcode":"forty"}`, `{"errcode":[]}`} {
				w.say(answer)
				got, err := tt.do(t.Context(), c)
				wantUnavailable(t, err, 200)
				wantEmpty(t, got)
			}
			// Live answers have spaces before the rid; the code may be a string.
			for answer, code := range map[string]int{
				`{"errcode":61003,"errmsg":"component is not authorized by this account rid: 65a4f1b2-0c1d2e3f-4a5b6c7d"}`:      61003,
				`{"errcode":"61003","errmsg":"component is not authorized by this account hint: [65a4f1b2-0c1d2e3f-4a5b6c7d]"}`: 61003,
			} {
				w.say(answer)
				got, err := tt.do(t.Context(), c)
				wantAPIError(t, err, code, wechat.KindConfig)
				wantEmpty(t, got)
				if !strings.Contains(err.Error(), tt.want.Path[1:]) {
					t.Errorf("%v does not name the call", err)
				}
			}
			if n := len(w.calls()); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// wantEmpty checks that nothing came beside an error.
func wantEmpty(t *testing.T, got any) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"refreshtoken", "AAT", "wx1a", "preauthcode", "true", "http"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("beside an error: %s", text)
		}
	}
}

// A code used up must not be sent again by any layer: net/http does so by itself
// with what it can rewind, if it takes the connection for one that was closed.
func TestComponentCodesCannotBeRewound(t *testing.T) {
	once := map[string]bool{
		"QueryAuth": true, "AuthorizerToken": true, "ExchangeOnBehalf": true, "Code2SessionOnBehalf": true,
	}
	for _, tt := range componentCalls {
		calls := 0
		c := wechat.New(wechat.Config{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			calls++
			if rewindable := r.Body == nil || r.GetBody != nil; rewindable == once[tt.name] {
				t.Errorf("%s: net/http can send it again: %v", tt.name, rewindable)
			}
			return nil, io.ErrUnexpectedEOF
		})}})
		_, err := tt.do(t.Context(), c)
		wantUnavailable(t, err, 0)
		if calls != 1 {
			t.Errorf("%s: %d calls", tt.name, calls)
		}
	}
}
