package wechattest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestVoidServerToken(t *testing.T) {
	s := start(t)
	s.VoidServerToken(appid) // there is none yet
	classic := ask(t, s, wechattest.TokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret).text("access_token")
	stable := accountToken(t, s)
	s.VoidServerToken(appid)
	for _, token := range []string{classic, stable} {
		if r := ask(t, s, wechattest.MenuGetPath, "access_token", token); r.errcode() != 40001 {
			t.Errorf("void: %s", r.raw)
		}
	}
	next := accountToken(t, s)
	if r := ask(t, s, wechattest.MenuGetPath, "access_token", next); next == stable || r.errcode() != 46003 {
		t.Errorf("the next: %s", r.raw)
	}
}

func TestCustomMessages(t *testing.T) {
	s := start(t)
	token := accountToken(t, s)
	body := func(to, kind, content string) string {
		return fmt.Sprintf(`{"touser":%q,"msgtype":%q,"text":{"content":%q}}`, to, kind, content)
	}
	fan, stranger := s.OpenID("xiaomei", appid), s.OpenID("aqiang", appid)
	for _, tt := range []struct {
		body string
		want int
	}{
		{"", 44002},
		{"{", 47001},
		{`{"touser":1}`, 47001},
		{body("oNobody", "text", "x"), 40003},
		{body(fan, "x", "x"), 40008},
		{body(fan, "text", ""), 44004},
		{body(stranger, "text", "x"), 45015},
		{body(fan, "text", "你好"), 0},
		{body(fan, "image", ""), 0},
	} {
		if r := send(t, s, wechattest.CustomSendPath, token, tt.body); r.errcode() != tt.want {
			t.Errorf("%s: %s, want %d", tt.body, r.raw, tt.want)
		}
	}
	sent := s.CustomMessages()
	if len(sent) != 2 || sent[0].AppID != appid || sent[0].OpenID != fan || sent[0].Type != "text" || string(sent[0].Body) != body(fan, "text", "你好") {
		t.Errorf("sent %+v", sent)
	}
	if calls := s.Calls(wechattest.CustomSendPath); calls[7].Player != "xiaomei" || calls[7].Result != "ok" {
		t.Errorf("journal %+v", calls[7])
	}
}

func TestMedia(t *testing.T) {
	s := start(t)
	token := accountToken(t, s)
	upload := func(kind, field, filename string, content io.Reader) reply {
		t.Helper()
		r, w := io.Pipe()
		form := multipart.NewWriter(w)
		go func() {
			defer w.Close()
			form.WriteField("note", "before the file")
			h := textproto.MIMEHeader{"Content-Type": {"image/png"}}
			h.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q; filename=%q`, field, filename))
			part, err := form.CreatePart(h)
			if err == nil {
				io.Copy(part, content)
				form.Close()
			}
		}()
		res, err := http.Post(s.URL+wechattest.MediaUploadPath+"?access_token="+token+"&type="+kind, form.FormDataContentType(), r)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, res)
	}
	get := func(id string) reply {
		t.Helper()
		return ask(t, s, wechattest.MediaGetPath, "access_token", token, "media_id", id)
	}
	picture := bytes.Repeat([]byte("\x00\xff\r\n"), 1<<19) // just what is kept
	r := upload("image", "media", "x.png", bytes.NewReader(picture))
	id := r.text("media_id")
	if id == "" || r.text("type") != "image" || r.number("created_at") < float64(s.Now().Unix()-60) {
		t.Fatalf("upload: %s", r.raw)
	}
	m, found := s.Medium(id)
	sum := sha256.Sum256(picture)
	if !found || m.AppID != appid || m.Type != "image" || m.Name != "x.png" || m.ContentType != "image/png" || m.Size != int64(len(picture)) || m.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("medium %+v", m)
	}
	got := get(id)
	if got.raw != string(picture) || got.header.Get("Content-Type") != "image/png" || got.header.Get("Content-Disposition") != `attachment; filename="x.png"` || got.header.Get("Content-Length") != fmt.Sprint(len(picture)) {
		t.Errorf("got %d bytes, %v", len(got.raw), got.header)
	}

	// A refusal too comes after the last byte.
	good := token
	token = "x"
	refused := &io.LimitedReader{R: zeros{}, N: 5 << 20}
	if r := upload("video", "media", "x", refused); r.errcode() != 40001 || refused.N != 0 {
		t.Errorf("void token: %s, %d bytes not taken", r.raw, refused.N)
	}
	token = good

	// More is measured, not kept.
	large := upload("video", "media", "y", io.LimitReader(zeros{}, 5<<20)).text("media_id")
	if m, _ := s.Medium(large); m.Size != 5<<20 || m.Open != nil {
		t.Errorf("medium %+v", m)
	}
	for want, r := range map[int]reply{
		40004: upload("pdf", "media", "x", strings.NewReader("x")),
		41005: upload("image", "other", "x", strings.NewReader("x")),
		40006: upload("image", "media", "x", strings.NewReader("")),
		41006: get(""),
		40007: get(large),
	} {
		if r.errcode() != want {
			t.Errorf("%.100s, want %d", r.raw, want)
		}
	}
	if r := send(t, s, wechattest.MediaUploadPath, token+"&type=image", "x"); r.errcode() != 41005 {
		t.Errorf("no form: %s", r.raw)
	}
	if r := upload("image", "media", "", strings.NewReader("x")); r.errcode() != 41005 {
		t.Errorf("no file name: %s", r.raw)
	}

	other := s.AddMedium(wechattest.Medium{AppID: "wxffffffffffffffff", Size: 1, Open: func() io.Reader { return strings.NewReader("x") }})
	own := s.AddMedium(wechattest.Medium{AppID: appid, Size: -1, Open: func() io.Reader { return strings.NewReader("own") }})
	if r := get(other); r.errcode() != 40007 {
		t.Errorf("another account's: %s", r.raw)
	}
	for range 2 {
		if r := get(own); r.raw != "own" || r.header.Get("Content-Type") != "application/octet-stream" || r.header.Get("Content-Disposition") != fmt.Sprintf("attachment; filename=%q", own) {
			t.Errorf("added: %s, %v", r.raw, r.header)
		}
	}
	s.Inject(wechattest.MediaGetPath, wechattest.HTML)
	if r := get(own); !strings.Contains(r.raw, "502 Bad Gateway") {
		t.Errorf("fault: %s", r.raw)
	}
	for range 64 {
		s.AddMedium(wechattest.Medium{AppID: appid, Size: 1, Open: func() io.Reader { return strings.NewReader("x") }})
	}
	if _, found := s.Medium(id); found {
		t.Error("more than 64 media")
	}
	last := s.AddMedium(wechattest.Medium{AppID: appid, Size: 1, Open: func() io.Reader { return strings.NewReader("x") }})
	s.Advance(72*time.Hour - time.Second)
	token = accountToken(t, s)
	if r := get(last); r.raw != "x" {
		t.Errorf("before its time: %s", r.raw)
	}
	s.Advance(time.Second)
	if r := get(last); r.errcode() != 40007 {
		t.Errorf("after three days: %s", r.raw)
	}
}

func TestFaultsOfAccountCalls(t *testing.T) {
	s := start(t)
	token := accountToken(t, s)
	message := fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"x"}}`, s.OpenID("xiaomei", appid))
	for _, tt := range []struct {
		fault wechattest.Fault
		sent  int
	}{
		{wechattest.Drop, 1},
		{wechattest.Fault{Drop: true}, 0},
		{wechattest.Busy, 0},
		{wechattest.Fault{Errcode: -1, Processed: true}, 1},
		{wechattest.Fault{Status: 500}, 1},
	} {
		before := len(s.CustomMessages())
		s.Inject(wechattest.CustomSendPath, tt.fault)
		res, err := http.Post(s.URL+wechattest.CustomSendPath+"?access_token="+token, "", strings.NewReader(message))
		if (err != nil) != tt.fault.Drop {
			t.Errorf("%+v: %v", tt.fault, err)
		}
		if err == nil {
			if r := read(t, res); r.errcode() != tt.fault.Errcode || r.status != max(tt.fault.Status, 200) {
				t.Errorf("%+v: %d %s", tt.fault, r.status, r.raw)
			}
		}
		if sent := len(s.CustomMessages()) - before; sent != tt.sent {
			t.Errorf("%+v: %d messages", tt.fault, sent)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
