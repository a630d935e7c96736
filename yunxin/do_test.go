package yunxin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"wxgate/yunxin/yunxintest"

	"github.com/google/go-cmp/cmp"
)

// read returns an answer's status and code, and its whole body.
func read(t *testing.T, res *http.Response, err error) (status, code int, body string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var reply struct{ Code int }
	json.Unmarshal(b, &reply)
	return res.StatusCode, reply.Code, string(b)
}

const formType = "application/x-www-form-urlencoded;charset=utf-8"

// lookUp is a call of each generation that asks for account a.
func lookUp(api string) Call {
	if api == "v1" {
		return Call{Method: "POST", Path: "/user/getUinfos.action", ContentType: formType, Body: strings.NewReader(`accids=["a"]`)}
	}
	return Call{Method: "GET", Path: "/im/v2/accounts", RawQuery: "account_ids=a"}
}

// post is a call of each generation that has an effect: a token for account a.
func post(api, token string) Call {
	if api == "v1" {
		return Call{Method: "POST", Path: "/user/update.action", ContentType: formType, Body: strings.NewReader("accid=a&token=" + token)}
	}
	return Call{Method: "PATCH", Path: "/im/v2/accounts/a", ContentType: "application/json", Body: strings.NewReader(`{"token":"` + token + `"}`)}
}

func TestDo(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "a", Token: "t", Name: "n"})
		for _, length := range []int64{0, -1, 12, 1000} { // what the app said, or left out
			q := lookUp(api)
			q.Length = length
			res, err := c.Do(t.Context(), q)
			if status, code, body := read(t, res, err); status != 200 || code != 200 || !strings.Contains(body, `"a"`) {
				t.Errorf("%d: %s", status, body)
			}
			if res.Header.Get("Content-Type") != "application/json;charset=utf-8" || res.Request != nil {
				t.Errorf("header %v, request %v", res.Header, res.Request)
			}
		}
		res, err := c.Do(t.Context(), post(api, "new"))
		if _, code, _ := read(t, res, err); code != 200 || login(sim, "a", "new") != 200 {
			t.Errorf("code %d", code)
		}
		nonces := make(map[string]bool)
		for _, e := range sim.Journal("") {
			nonces[e.Header.Get("Nonce")] = true
			for name := range e.Header {
				switch name {
				case "Content-Type":
					if e.Method == "GET" {
						t.Error("a content type that the app did not give")
					}
				case "Appkey", "Nonce", "Curtime", "Checksum", "User-Agent", "Accept-Encoding", "Content-Length":
				default:
					t.Errorf("header %s", name)
				}
			}
		}
		if len(nonces) != 5 {
			t.Errorf("%d nonces for 5 calls", len(nonces))
		}
		want := yunxintest.Entry{Method: "POST", Path: "/nimserver/user/getUinfos.action", Body: []byte(`accids=["a"]`)}
		if api == "v2" {
			want = yunxintest.Entry{Method: "GET", Path: "/im/v2/accounts", Query: "account_ids=a", Body: []byte{}}
		}
		e := sim.Journal("")[0]
		if got := (yunxintest.Entry{Method: e.Method, Path: e.Path, Query: e.Query, Body: e.Body}); !cmp.Equal(want, got) {
			t.Errorf("sent %+v, want %+v", got, want)
		}
	})
}

// Any answer is an answer: the app judges it.
func TestDoAnswers(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		for name, fault := range map[string]yunxintest.Fault{
			"busy":     {Code: 503},
			"refused":  {Code: 414},
			"redirect": {Status: 302, Body: "moved"},
			"no JSON":  {Status: 200, Body: "junk"},
			"empty":    {Status: 200},
			"teapot":   {Status: 418, Body: "short and stout"},
		} {
			sim.ClearJournal()
			sim.Inject(fault)
			res, err := client(t, sim, api).Do(t.Context(), lookUp(api))
			status, code, body := read(t, res, err)
			if want := max(fault.Status, 200); status != want || code != fault.Code || fault.Code == 0 && body != fault.Body || len(sim.Journal("")) != 1 {
				t.Errorf("%s: status %d, code %d, %q after %d calls", name, status, code, body, len(sim.Journal("")))
			}
		}
	})
}

// A redirect, followed, would take the signature to another host.
func TestDoRedirect(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	defer sim.Close()
	srv := httptest.NewServer(http.RedirectHandler(sim.URL+"/im/v2/accounts/a", http.StatusTemporaryRedirect))
	defer srv.Close()
	for _, q := range []Call{lookUp("v2"), post("v2", "t")} {
		res, err := client(t, sim, "v2", func(cfg *Config) { cfg.URLs = []string{srv.URL} }).Do(t.Context(), q)
		if status, _, _ := read(t, res, err); status != 307 || len(sim.Journal("")) != 0 {
			t.Errorf("status %d, followed %d times", status, len(sim.Journal("")))
		}
	}
}

func TestDoRules(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	defer sim.Close()
	c := client(t, sim, "v2")
	var bad []Call
	for _, method := range []string{"", "get", "HEAD", "OPTIONS", "CONNECT", "TRACE", "GET ", "P\r\nX: y"} {
		bad = append(bad, Call{Method: method, Path: "/a"})
	}
	for _, path := range []string{
		"", "a", "/", "//", "/a/", "/a//b", "//a", "/.", "/..", "/a/../b", "/a/./b", "/a/...", "/%2e%2e/a", "/a/%2E", "/a%2fb", "/a%5Cb", `/a\b`,
		"/a%00", "/a%0a", "/a%20b", "/a b", "/a%7f", "/a\x7f", "/a\n", "/a?b", "/a#b", "/a%23%", "/a%2", "/a%zz", "/a%252e", "/refresh%54oken", "/a%2eaction",
		"/a;b", "/a|b", "/抓", "/a%ff", "http://evil/a", "@evil/a", "/a+b", "/a\"", "/a*",
	} {
		bad = append(bad, Call{Method: "GET", Path: path})
	}
	for _, query := range []string{"a b", "a#b", "a\n", "a\x00", "抓", "a\x7f"} {
		bad = append(bad, Call{Method: "GET", Path: "/a", RawQuery: query})
	}
	for _, kind := range []string{"a\r\nX: y", "a\x00", "抓", "\t"} {
		bad = append(bad, Call{Method: "GET", Path: "/a", ContentType: kind})
	}
	for _, q := range bad {
		res, err := c.Do(t.Context(), q)
		if e := wantKind(t, err, KindBadRequest); res != nil || e.API != "app_api" {
			t.Errorf("%+v: %+v", q, e)
		}
	}
	if got := sim.Journal(""); len(got) != 0 {
		t.Errorf("%d calls were sent, first %s %s", len(got), got[0].Method, got[0].Path)
	}
	for _, path := range []string{
		"/user/getUinfos.action", "/im/v2/accounts/a@b.c-d_e", "/im/v2.1/teams/123/actions/x", "/im/v2/conversations/a%7C1%7Cb", "/a:b,~", "/%E6%8A%93", "/.a", "/a..b", "/..a", "/%3F%3B",
	} {
		sim.ClearJournal()
		res, err := c.Do(t.Context(), Call{Method: "DELETE", Path: path, RawQuery: "a=%20&b;c=%zz+|\"&&"})
		read(t, res, err)
		if e := sim.Journal("")[0]; e.Path != path || e.Query != "a=%20&b;c=%zz+|\"&&" || e.Method != "DELETE" {
			t.Errorf("%s was sent as %s %s?%s", path, e.Method, e.Path, e.Query)
		}
	}
}

func FuzzCallPath(f *testing.F) {
	for _, s := range []string{"/user/getUinfos.action", "/a/../b", "/%2e%2e", "/a%2fb", "/a%7Cb", "//", "/%41", "/%E6%8A%93"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if (Call{Method: "GET", Path: path}).flaw() != "" {
			return
		}
		req, err := http.NewRequest("GET", "http://yunxin.example/nimserver"+path, nil)
		if err != nil {
			t.Fatalf("%q passes and is no URL: %v", path, err)
		}
		if got := req.URL.EscapedPath(); got != "/nimserver"+path || req.URL.Host != "yunxin.example" || req.URL.RawQuery != "" || req.URL.Fragment != "" {
			t.Errorf("%q is sent as %q to %q", path, got, req.URL.Host)
		}
		if joined := req.URL.JoinPath().Path; joined != req.URL.Path || strings.ContainsAny(joined, "\\\x00\r\n") {
			t.Errorf("%q can be read as %q", path, joined)
		}
	})
}

// When a call goes to the backup, and when an effect could be had twice.
func TestDoFailover(t *testing.T) {
	down := yunxintest.Fault{Text: "down"}
	for _, row := range []struct {
		name       string
		fault      yunxintest.Fault
		get, other bool // goes on to the backup
		status     int  // where it does not; 0 is no answer
	}{
		{"down", down, true, true, 0},
		{"reset", yunxintest.Fault{Reset: true}, true, false, 0},
		{"done, lost", yunxintest.Fault{Drop: true}, true, false, 0},
		{"502", yunxintest.Fault{Status: 502}, true, true, 0},
		{"503", yunxintest.Fault{Status: 503}, true, false, 503},
		{"504", yunxintest.Fault{Status: 504}, true, false, 504},
		{"http 500", yunxintest.Fault{Status: 500, Body: "x"}, false, false, 500},
		{"code 500", yunxintest.Fault{Code: 500}, false, false, 200},
	} {
		for _, method := range []string{"GET", "other"} {
			t.Run(row.name+" "+method, func(t *testing.T) {
				primary, backup, c := pair(t, "v2")
				primary.Add(yunxintest.Account{Accid: "a"})
				q, again := lookUp("v2"), row.get
				if method != "GET" {
					q, again = post("v2", "t"), row.other
				}
				if row.fault == down {
					primary.Close()
				} else {
					primary.Inject(row.fault)
				}
				res, err := c.Do(t.Context(), q)
				switch {
				case !again && row.status == 0:
					if e := unavailable(t, err); e.API != "app_api" || "http://"+e.Host != primary.URL || res != nil {
						t.Errorf("%+v", e)
					}
				case !again:
					if status, _, _ := read(t, res, err); status != row.status {
						t.Errorf("status %d", status)
					}
				default:
					if _, code, body := read(t, res, err); code != 200 {
						t.Errorf("%s", body)
					}
				}
				visited := hosts(primary, "")
				if again != (len(visited) > 0 && visited[len(visited)-1] == backup.URL) {
					t.Errorf("calls at %v", visited)
				}
				// Where the primary gave no answer, the backup has the next call.
				if row.status != 500 && row.status != 200 {
					res, err := c.Do(t.Context(), lookUp("v2"))
					read(t, res, err)
					if visited = hosts(primary, ""); visited[len(visited)-1] != backup.URL {
						t.Errorf("the next call went to the primary")
					}
				}
			})
		}
	}
}

// Both addresses fail: the last outcome counts, after two attempts.
func TestDoBothFail(t *testing.T) {
	primary, _, c := pair(t, "v2")
	primary.Inject(yunxintest.Fault{Status: 502, Times: 9})
	res, err := c.Do(t.Context(), post("v2", "t"))
	if status, _, _ := read(t, res, err); status != 502 || len(primary.Journal("")) != 2 {
		t.Errorf("status %d after %d calls", status, len(primary.Journal("")))
	}
	primary, _, c = pair(t, "v2")
	primary.Inject(yunxintest.Fault{Drop: true, Times: 9})
	res, err = c.Do(t.Context(), lookUp("v2"))
	if unavailable(t, err); res != nil || len(primary.Journal("")) != 2 {
		t.Errorf("%d calls", len(primary.Journal("")))
	}
}

// sink is a Yunxin that takes bodies of any length and remembers them.
func sink(t *testing.T) (srv *httptest.Server, bodies *[]string) {
	bodies = new([]string)
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*bodies = append(*bodies, fmt.Sprint(r.ContentLength, " ", string(b)))
		io.WriteString(w, `{"code":200}`)
	}))
	t.Cleanup(srv.Close)
	return srv, bodies
}

// Bodies arrive whole, of a known length where that can be, also at the backup
// after a primary that is not there.
func TestDoBodies(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, size := range []int{0, 1, maxKept - 1, maxKept, maxKept + 1, 1 << 20} {
		for _, known := range []bool{true, false} {
			srv, bodies := sink(t)
			c := New(Config{URLs: []string{gone.URL, srv.URL}, HTTP: srv.Client()})
			body, length, want := strings.Repeat("x", size), int64(size), int64(size)
			if !known {
				length = -1
				if size > maxKept {
					want = -1
				}
			}
			res, err := c.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: io.MultiReader(strings.NewReader(body)), Length: length})
			read(t, res, err)
			if d := cmp.Diff([]string{fmt.Sprint(want, " ", body)}, *bodies); d != "" {
				t.Errorf("size %d, known %v: %.300s", size, known, d)
			}
		}
	}
}

// A length that is too small cuts nothing off.
func TestDoWrongLength(t *testing.T) {
	for _, size := range []int{10, maxKept + 10} {
		srv, bodies := sink(t)
		c := New(Config{URLs: []string{srv.URL}, HTTP: srv.Client()})
		res, err := c.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: io.MultiReader(strings.NewReader(strings.Repeat("x", size))), Length: 5})
		read(t, res, err)
		if _, body, _ := strings.Cut((*bodies)[0], " "); len(body) != size {
			t.Errorf("%d bytes of %d", len(body), size)
		}
	}
}

// A long body is gone once it was begun to be sent: no half of it is repeated.
func TestDoLongBodyIsSentOnce(t *testing.T) {
	srv, bodies := sink(t)
	var reads atomic.Int64
	primary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.ReadFull(r.Body, make([]byte, 10))
		reads.Add(int64(n))
		panic(http.ErrAbortHandler)
	}))
	defer primary.Close()
	for _, method := range []string{"POST", "PUT"} {
		c := New(Config{URLs: []string{primary.URL, srv.URL}, HTTP: srv.Client()})
		_, err := c.Do(t.Context(), Call{Method: method, Path: "/a", Body: strings.NewReader(strings.Repeat("x", 1<<20)), Length: 1 << 20})
		if unavailable(t, err); len(*bodies) != 0 || reads.Load() == 0 {
			t.Errorf("%s: %d bytes read first, then %d bodies", method, reads.Load(), len(*bodies))
		}
	}
	// A 502 does not bring it back either.
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(502)
	}))
	defer bad.Close()
	res, err := New(Config{URLs: []string{bad.URL, srv.URL}, HTTP: srv.Client()}).Do(t.Context(), Call{Method: "PUT", Path: "/a", Body: strings.NewReader(strings.Repeat("x", 1<<20))})
	if status, _, _ := read(t, res, err); status != 502 || len(*bodies) != 0 {
		t.Errorf("status %d, %d bodies", status, len(*bodies))
	}
}

// An attempt that was given up must not eat the body of the next one.
func TestAbandonedBody(t *testing.T) {
	u, err := newUpload(strings.NewReader(strings.Repeat("x", maxKept+5)), -1)
	if err != nil {
		t.Fatal(err)
	}
	first := u.open().(*streamed)
	if !first.leave() {
		t.Fatal("an untouched body cannot be left")
	}
	if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("a body that was left: %d bytes, %v", n, err)
	}
	second := u.open().(*streamed)
	if b, err := io.ReadAll(second); len(b) != maxKept+5 || err != nil {
		t.Errorf("the next one: %d bytes, %v", len(b), err)
	}
	if second.leave() {
		t.Error("a body that was read counts as untouched")
	}
}

// What goes wrong with reading the app's body is not Yunxin's fault.
func TestDoBrokenBody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	broken := errors.New("the app went away")
	for _, size := range []int{10, maxKept + 10} {
		for _, length := range []int64{-1, 1 << 20} {
			var classes []string
			c := New(Config{AppSecret: "s", URLs: []string{srv.URL, "http://127.0.0.1:1"}, HTTP: srv.Client(), Observe: func(_, class string, _ time.Duration) { classes = append(classes, class) }})
			body := io.MultiReader(strings.NewReader(strings.Repeat("x", size)), iotest.ErrReader(broken))
			_, err := c.Do(t.Context(), Call{Method: "PUT", Path: "/a", Body: body, Length: length})
			var u *UnavailableError
			if !errors.Is(err, broken) || errors.As(err, &u) || c.healthy.Load() != 0 {
				t.Errorf("size %d: %v, address %d", size, err, c.healthy.Load())
			}
			for _, class := range classes {
				if class != "canceled" {
					t.Errorf("class %s", class)
				}
			}
		}
	}
}

// Request and answer pass while they are written, each part before the next.
func TestDoStreams(t *testing.T) {
	arrived, next := make(chan string), make(chan bool)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, maxKept+1)
		io.ReadFull(r.Body, buf)
		arrived <- "beginning of the body"
		rest, _ := io.ReadAll(r.Body)
		arrived <- string(rest)
		flush := http.NewResponseController(w).Flush
		io.WriteString(w, `{"code":200,`)
		flush()
		<-next
		io.WriteString(w, `"x":1}`)
	}))
	defer srv.Close()
	c := New(Config{URLs: []string{srv.URL}, HTTP: srv.Client()})
	body, feed := io.Pipe()
	go func() {
		io.WriteString(feed, strings.Repeat("x", maxKept+1))
		if got := <-arrived; got != "beginning of the body" {
			t.Error(got)
		}
		io.WriteString(feed, "the rest")
		feed.Close()
		if got := <-arrived; got != "the rest" {
			t.Error(got)
		}
	}()
	res, err := c.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: body, Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	part := make([]byte, len(`{"code":200,`))
	if _, err := io.ReadFull(res.Body, part); err != nil || string(part) != `{"code":200,` {
		t.Errorf("first part %q, %v", part, err)
	}
	next <- true
	if rest, err := io.ReadAll(res.Body); string(rest) != `"x":1}` || err != nil {
		t.Errorf("second part %q, %v", rest, err)
	}
}

// Long answers pass unchanged, and only their beginning is kept.
func TestDoLongAnswer(t *testing.T) {
	long := `{"code":416,"x":"` + strings.Repeat("x", 1<<20) + `"}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, long) }))
	defer srv.Close()
	var classes []string
	c := New(Config{URLs: []string{srv.URL}, HTTP: srv.Client(), Observe: func(_, class string, _ time.Duration) { classes = append(classes, class) }})
	res, err := c.Do(t.Context(), Call{Method: "GET", Path: "/a"})
	if _, _, body := read(t, res, err); body != long {
		t.Errorf("%d bytes, want %d", len(body), len(long))
	}
	if kept := len(res.Body.(*answer).reply); kept > maxBody+1 || cmp.Diff([]string{"ok"}, classes) != "" {
		t.Errorf("%d bytes kept, classes %v", kept, classes)
	}
}

// After a 416 the interface is left alone, by the app and by us, whoever got it.
func TestDoRate(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "a"})
		sim.Inject(yunxintest.Fault{Code: 416, Text: "x", API: yunxintest.UpdateToken})
		res, err := c.Do(t.Context(), post(api, "t"))
		if status, code, _ := read(t, res, err); status != 200 || code != 416 {
			t.Errorf("status %d, code %d", status, code)
		}
		sim.ClearJournal()
		for range 3 {
			res, err := c.Do(t.Context(), post(api, "t"))
			if e := wantKind(t, err, KindRate); res != nil || e.API != "app_api" || e.RetryAfter <= 0 || e.RetryAfter > 12*time.Second {
				t.Errorf("%+v", e)
			}
			wantKind(t, c.SetToken(t.Context(), "other", "t"), KindRate)
		}
		if len(sim.Journal("")) != 0 {
			t.Error("a shut interface was called")
		}
		res, err = c.Do(t.Context(), lookUp(api))
		if _, code, _ := read(t, res, err); code != 200 {
			t.Errorf("another interface: code %d", code)
		}
		sim.Advance(shutFor + shutJitter)
		res, err = c.Do(t.Context(), post(api, "t"))
		if _, code, _ := read(t, res, err); code != 200 {
			t.Errorf("afterwards: code %d", code)
		}
		// And the other way round.
		sim.Inject(yunxintest.Fault{Code: 416, API: yunxintest.UpdateToken})
		wantKind(t, c.SetToken(t.Context(), "a", "t"), KindRate)
		_, err = c.Do(t.Context(), post(api, "t"))
		wantKind(t, err, KindRate)
	})
}

// A 416 between two attempts ends the matter.
func TestDoRateOnRetry(t *testing.T) {
	primary, _, c := pair(t, "v2")
	primary.Inject(yunxintest.Fault{Status: 502})
	primary.Inject(yunxintest.Fault{Code: 416})
	for range 2 {
		if res, err := c.Do(t.Context(), lookUp("v2")); err == nil {
			read(t, res, err)
		} else {
			wantKind(t, err, KindRate)
		}
	}
	if got := len(primary.Journal("")); got != 2 {
		t.Errorf("%d calls, want 2", got)
	}
}

func TestInterfaceOf(t *testing.T) {
	for call, want := range map[string]string{
		"POST /user/update.action":                   "/user/update.action",
		"GET /im/v2/accounts":                        "GET im/v2/accounts",
		"POST /im/v2/accounts":                       "POST im/v2/accounts",
		"PATCH /im/v2/accounts/a":                    "PATCH im/v2/accounts/*",
		"PATCH /nimserver/im/v2/accounts/b":          "PATCH im/v2/accounts/*",
		"POST /im/v2/accounts/a/actions/kick":        "POST im/v2/accounts/*/actions/kick",
		"PATCH /im/v2/team_members/actions/kick":     "PATCH im/v2/team_members/actions/kick",
		"GET /im/v2.1/teams/123":                     "GET im/v2.1/teams/*",
		"GET /im/v2/conversations/a%7C1%7Cb/x":       "GET im/v2/conversations/*/*",
		"POST /im/v2":                                "POST im/v2",
		"POST /nimserver/chatroom/sendMsg.action":    "/nimserver/chatroom/sendMsg.action",
		"PATCH /im/v2/accounts/a/actions/disable":    "PATCH im/v2/accounts/*/actions/disable",
		"POST /im/v2/accounts/actions/actions/kick":  "POST im/v2/accounts/actions/actions/kick",
		"DELETE /im/v2/messages/1/2/3/actions/undo":  "DELETE im/v2/messages/*/*/*/actions/undo",
		"PATCH /im/v2/room_members/a/actions/banned": "PATCH im/v2/room_members/*/actions/banned",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := interfaceOf(method, path); got != want {
			t.Errorf("%s: %q, want %q", call, got, want)
		}
	}
}

// An app can get a 416 on any number of paths.
func TestGateForgets(t *testing.T) {
	var g gate
	now := time.Unix(1760000000, 0)
	for i := range 100 {
		g.shut(fmt.Sprint(i), now)
		now = now.Add(time.Second)
	}
	if len(g.until) > 13 || g.left("99", now) <= 0 || g.left("0", now) != 0 {
		t.Errorf("%d interfaces remembered", len(g.until))
	}
}

func TestDoObserve(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		var seen []string
		c := client(t, sim, api, func(cfg *Config) {
			cfg.Observe = func(api, class string, took time.Duration) {
				if took <= 0 {
					t.Errorf("%s took %v", api, took)
				}
				seen = append(seen, api+" "+class)
			}
		})
		do := func(ctx context.Context) {
			if res, err := c.Do(ctx, lookUp(api)); err == nil {
				read(t, res, err)
				res.Body.Close()
			}
		}
		for _, fault := range []yunxintest.Fault{{Code: 500}, {Code: 403}, {Status: 200, Body: "junk"}, {Status: 404}, {Status: 502}} {
			sim.Inject(fault)
			do(t.Context())
		}
		do(t.Context())
		c.Do(t.Context(), Call{}) // not sent
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		do(gone)

		// Closed early, and closed after all of it was read but no end was seen.
		res, err := c.Do(t.Context(), lookUp(api))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		sim.Inject(yunxintest.Fault{Code: 416})
		res, err = c.Do(t.Context(), lookUp(api))
		if err != nil {
			t.Fatal(err)
		}
		io.CopyN(io.Discard, res.Body, res.ContentLength)
		res.Body.Close()
		do(t.Context()) // shut, not sent

		want := []string{"retry", "auth", "unavailable", "unavailable", "unavailable", "ok", "ok", "canceled", "canceled", "rate"}
		for i, class := range want {
			want[i] = "app_api " + class
		}
		if d := cmp.Diff(want, seen); d != "" {
			t.Error(d)
		}
	})
}

// An answer that breaks off is broken for the app too.
func TestDoCut(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		var seen []string
		c := client(t, sim, api, func(cfg *Config) {
			cfg.Observe = func(_, class string, _ time.Duration) { seen = append(seen, class) }
		})
		sim.Inject(yunxintest.Fault{Cut: true})
		res, err := c.Do(t.Context(), lookUp(api))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); err == nil || cmp.Diff([]string{"unavailable"}, seen) != "" {
			t.Errorf("error %v, classes %v", err, seen)
		}
	})
}

// Several calls at once, some closed while they are read.
func TestDoParallel(t *testing.T) {
	both(t, yunxintest.Config{PerSecond: 1000}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				res, err := c.Do(t.Context(), lookUp(api))
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					wg.Go(func() { res.Body.Close() })
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			})
		}
		wg.Wait()
	})
}

// forever is a body without end.
type forever struct{}

func (forever) Read(p []byte) (int, error) { return len(p), nil }
func (forever) Close() error               { return nil }

// A body may be closed while it is read, and reports once even then.
func TestAnswerClosedWhileRead(t *testing.T) {
	var wg sync.WaitGroup
	ends := make(chan int, 3)
	a := &answer{ReadCloser: forever{}, status: 200, done: func(reply []byte, _ error) { ends <- len(reply) }}
	wg.Go(func() {
		for range 100 {
			a.Read(make([]byte, 10))
		}
	})
	wg.Go(func() { a.Close() })
	wg.Wait()
	a.Close()
	if len(ends) != 1 {
		t.Errorf("reported %d times", len(ends))
	}
}

// The secret and signatures, in every place that an error text, or somebody who
// prints what Do returns, could take them from.
func TestDoRedaction(t *testing.T) {
	const secret = "5ecre7value1"
	var sums []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sums = append(sums, r.Header.Get("CheckSum"))
		if r.URL.Path == "/good" {
			io.WriteString(w, `{"code":200}`)
			return
		}
		conn, _, _ := http.NewResponseController(w).Hijack()
		echo := map[string]string{"/bad/player": secret, "/bad/signature": sums[len(sums)-1]}[r.URL.Path]
		fmt.Fprintf(conn, "HTTP/1.1 %s\nforged log line\r\n\r\n", echo)
		conn.Close()
	}))
	defer srv.Close()
	c := New(Config{AppKey: "key", AppSecret: secret, URLs: []string{srv.URL}, HTTP: srv.Client()})
	var seen bytes.Buffer
	for _, path := range []string{"/bad/player", "/bad/signature"} {
		_, err := c.Do(t.Context(), Call{Method: "POST", Path: path, RawQuery: "token=70ken"})
		unavailable(t, err)
		fmt.Fprintf(&seen, "%v %+v", err, err)
		if !strings.Contains(err.Error(), "***") {
			t.Errorf("%s: nothing was echoed: %v", path, err)
		}
	}
	res, err := c.Do(t.Context(), Call{Method: "GET", Path: "/good"})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&seen, "%v %+v", res.Header, res.Request)
	read(t, res, err)
	for _, private := range append(sums, secret, "70ken", "player") {
		if strings.Contains(seen.String(), private) {
			t.Errorf("%q in %s", private, seen.String())
		}
	}
	if len(sums) != 3 || strings.Contains(seen.String(), "\nforged") {
		t.Errorf("%d calls: %s", len(sums), seen.String())
	}
}
