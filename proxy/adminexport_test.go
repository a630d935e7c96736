package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
)

// people is an import of n users of another system.
func people(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"accounts":[{"channel":"mp","appid":"%s","openid":"o_imported_%d"}],"yunxin":{"accid":"player%d"}}`+"\n", testAppID, i, i)
	}
	return b.String()
}

func (o *operator) imports(lines string) (r identity.ImportReport) {
	o.w.t.Helper()
	o.into(&r, "POST", "/admin/users/import", lines)
	return r
}

// exported is an export's lines, in order.
func (o *operator) exported() []string {
	o.w.t.Helper()
	res := o.call("GET", "/admin/users/export", "")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-ndjson" || res.Header.Get("Cache-Control") != "no-store" || res.body != "" && !strings.HasSuffix(res.body, "\n") {
		o.w.t.Fatalf("answered %d %v %.200s", res.StatusCode, res.Header, res.body)
	}
	return slices.Sorted(strings.Lines(res.body))
}

// An export moves everybody to another store.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	w, o, _ := newPeopleWorld(t, 2, nil)
	if lines := o.exported(); len(lines) != 0 {
		t.Errorf("nobody is exported as %q", lines)
	}
	if !strings.Contains(w.log.String(), `"pattern":"/admin/users/export","status":200`) {
		t.Errorf("the log says %s", w.log.String())
	}
	phone, mini := w.native("mobile", "xiaomei"), w.native("mini", "aqiang")
	o.user("POST", "/admin/users/"+phone.user+"/merge", `{"from":"`+mini.user+`"}`)
	blocked, erased := w.native("mini", "faceless").user, w.native("mini", "longname").user
	o.user("POST", "/admin/users/"+blocked+"/block", "")
	o.call("DELETE", "/admin/users/"+erased, "")
	lines := o.exported()
	if len(lines) != 3 {
		t.Fatalf("exported are %q", lines)
	}
	for _, line := range lines {
		var u identity.User
		if err := json.Unmarshal([]byte(line), &u); err != nil || u.ID != phone.user && u.ID != blocked && u.ID != erased {
			t.Errorf("%s, %v", line, err)
		}
	}
	if res := o.call("HEAD", "/admin/users/export", ""); res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("HEAD: %d %v", res.StatusCode, res.Header)
	}

	w2, o2, _ := newPeopleWorld(t, 2, nil)
	all := strings.Join(lines, "")
	if r := o2.imports(all); r.Lines != 3 || r.Created != 3 || r.Failed != 0 || r.Errors == nil {
		t.Errorf("imported as %+v", r)
	}
	if r := o2.imports(all); r.Lines != 3 || r.Unchanged != 3 {
		t.Errorf("imported again as %+v", r)
	}
	if a, b := w2.native("mobile", "xiaomei"), w2.native("mini", "aqiang"); a.user != phone.user || b.user != phone.user {
		t.Errorf("there they are %s and %s", a.user, b.user)
	}
	if _, res := w2.exchangeCode("mini", w2.wechat.IssueCode(testMini.ID, "faceless", ""), "app/1.0"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a blocked user is let in there: %d %s", res.StatusCode, res.body)
	}
	if w2.native("mini", "longname").user == erased {
		t.Error("an erased user came back to life")
	}
	for _, secret := range []string{w.wechat.OpenID("xiaomei", testMobile.ID), "小美"} {
		if strings.Contains(w.log.String()+w2.log.String(), secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
}

func TestImportReportsBadLines(t *testing.T) {
	t.Parallel()
	_, o, _ := newPeopleWorld(t, 1, nil)
	good := strings.SplitAfter(strings.TrimSuffix(people(4), "\n"), "\n")
	r := o.imports(good[0] + "{\n" + good[1] + "\n" + good[2] + `{"accounts":[],"surprise":1}` + "\n" + good[3])
	if r.Lines != 6 || r.Created != 4 || r.Failed != 2 || len(r.Errors) != 2 || r.Errors[0].Line != 2 || r.Errors[1].Line != 6 {
		t.Errorf("%+v", r)
	}
	if r := o.imports(""); r.Lines != 0 {
		t.Errorf("of nothing: %+v", r)
	}
	if len(o.exported()) != 4 {
		t.Errorf("stored are %q", o.exported())
	}
}

// spoken sends bytes to the admin listener, ends its side, and returns the answer.
func (o *operator) spoken(text string) string {
	o.w.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(o.url, "http://"))
	if err != nil {
		o.w.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, strings.ReplaceAll(text, "{token}", "Authorization: Bearer "+testAdminToken))
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		o.w.t.Fatal(err)
	}
	return string(got)
}

func TestImportThatBreaksOff(t *testing.T) {
	t.Parallel()
	_, o, _ := newPeopleWorld(t, 1, nil)
	lines := people(3)
	for what, body := range map[string]string{
		"shorter than said": fmt.Sprintf("Content-Length: %d\n\n%s", len(lines)+1, lines),
		"in a chunk":        fmt.Sprintf("Transfer-Encoding: chunked\n\n%x\n%s", len(lines)+10, lines),
		"no last chunk":     fmt.Sprintf("Transfer-Encoding: chunked\n\n%x\n%s\n", len(lines), lines),
		"no chunks":         fmt.Sprintf("Transfer-Encoding: chunked\n\n%x\n%s\nzz\n", len(lines), lines),
	} {
		head, rest, _ := strings.Cut(body, "\n\n")
		got := o.spoken(crlf("POST /admin/users/import HTTP/1.1\nHost: x\n{token}\n"+head+"\n\n") + strings.NewReplacer("\n", "\r\n", lines, lines).Replace(rest))
		m := regexp.MustCompile(`"The body broke off\. Up to line ([0-3]) everything was dealt with`).FindStringSubmatch(got)
		if statusOf(got) != http.StatusBadRequest || !strings.Contains(got, `"error":"bad_request"`) || m == nil {
			t.Errorf("%s: %s", what, got)
			continue
		}
		if n := len(o.exported()); strconv.Itoa(n) < m[1] {
			t.Errorf("%s: %d users were kept, %s promised", what, n, m[1])
		}
	}
	if r := o.imports(lines); r.Created+r.Unchanged != 3 || len(o.exported()) != 3 {
		t.Errorf("the same again: %+v", r)
	}
}

func TestImportWithoutAStore(t *testing.T) {
	t.Parallel()
	_, o, store := newPeopleWorld(t, 1, nil)
	store.failing(func(method, key string) error {
		if method == "Create" && strings.HasPrefix(key, "u:") {
			return errDown
		}
		return nil
	})
	res := o.call("POST", "/admin/users/import", people(3))
	e := res.jsonError(t)
	if res.StatusCode != http.StatusServiceUnavailable || e.Error != "store_unavailable" || !strings.Contains(e.Message, "Up to line 0 everything was dealt with") || strings.Contains(e.Message, errDown.Error()) {
		t.Errorf("%d %+v", res.StatusCode, e)
	}
	store.failing(nil)
	if r := o.imports(people(3)); r.Created != 3 {
		t.Errorf("%+v", r)
	}
}

// heldLister stops in the middle until it is let go, with or without an error.
type heldLister struct {
	identity.Lister
	after int
	held  chan error
}

func (l *heldLister) List(ctx context.Context, prefix string, fn func(string, []byte) error) error {
	n := 0
	return l.Lister.List(ctx, prefix, func(key string, value []byte) error {
		if n++; n > l.after {
			select {
			case err, open := <-l.held:
				if open && err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return fn(key, value)
	})
}

func TestExportOnTheWay(t *testing.T) {
	t.Parallel()
	held := &heldLister{after: 2 * exportFlush, held: make(chan error)}
	w, o, _ := newPeopleWorld(t, 1, nil, func(c *Config) { held.Lister, c.Lister = c.Lister, held })
	if r := o.imports(people(200)); r.Created != 200 {
		t.Fatalf("%+v", r)
	}
	begin := func() (*http.Response, *bufio.Reader, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", o.url+"/admin/users/export", nil)
		r.Header.Set("Authorization", "Bearer "+testAdminToken)
		res, err := direct.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		br := bufio.NewReader(res.Body)
		for i := range 2 * exportFlush { // arrive while the store still lists
			if _, err := br.ReadString('\n'); err != nil {
				t.Fatalf("line %d: %v", i, err)
			}
		}
		return res, br, cancel
	}
	t.Run("goes on", func(t *testing.T) {
		res, br, cancel := begin()
		defer cancel()
		defer res.Body.Close()
		go func() {
			for range 200 - 2*exportFlush {
				held.held <- nil
			}
		}()
		rest, err := io.ReadAll(br)
		if n := strings.Count(string(rest), "\n"); err != nil || n != 200-2*exportFlush {
			t.Errorf("%d more lines, %v", n, err)
		}
	})
	t.Run("fails", func(t *testing.T) {
		res, br, cancel := begin()
		defer cancel()
		defer res.Body.Close()
		held.held <- errDown
		if rest, err := io.ReadAll(br); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("half an export ends as if it were whole: %d bytes, %v", len(rest), err)
		}
		if !strings.Contains(w.log.String(), `"an export failed"`) || !strings.Contains(w.log.String(), errDown.Error()) {
			t.Error("the log does not say why")
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		res, _, cancel := begin()
		cancel()
		res.Body.Close()
		eventually(t, "it ends", func() bool { return strings.Contains(w.log.String(), context.Canceled.Error()) })
	})
	t.Run("fails at once", func(t *testing.T) {
		held.after = 0
		go func() { held.held <- errDown }()
		res := o.call("GET", "/admin/users/export", "")
		if e := res.jsonError(t); res.StatusCode != http.StatusServiceUnavailable || e.Error != "store_unavailable" || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%d %+v %v", res.StatusCode, e, res.Header)
		}
	})
}

// One record that cannot be read is missing, and the export says so by not
// coming to its end.
func TestExportWithADamagedRecord(t *testing.T) {
	t.Parallel()
	_, o, store := newPeopleWorld(t, 1, nil)
	o.imports(people(100))
	if err := store.Put(t.Context(), store.keys(t, "u:")[50], []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", o.url+"/admin/users/export", nil)
	r.Header.Set("Authorization", "Bearer "+testAdminToken)
	res, err := direct.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d lines as if there were no more, %v", strings.Count(string(got), "\n"), err)
	}
}

// Without chunks a client could not tell half an export from a whole one.
func TestExportNeedsChunks(t *testing.T) {
	t.Parallel()
	_, o, _ := newPeopleWorld(t, 1, nil)
	if got := o.spoken(crlf("GET /admin/users/export HTTP/1.0\n{token}\n\n")); statusOf(got) != http.StatusBadRequest || !strings.Contains(got, "HTTP/1.1") {
		t.Errorf("answered %s", got)
	}
}
