package wechat

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestReadToken(t *testing.T) {
	tests := []struct {
		name, body string
		want       Token
		wantErr    string
	}{
		{
			name: "as documented",
			body: `{"access_token":"AT","expires_in":7200,"refresh_token":"RT","openid":"oX","scope":"snsapi_base"}`,
			want: Token{AccessToken: "AT", RefreshToken: "RT", OpenID: "oX", Scope: "snsapi_base", ExpiresIn: 2 * time.Hour},
		},
		{
			name: "snapshot as a number",
			body: `{"access_token":"AT","openid":"oX","is_snapshotuser":1,"unionid":"oU"}`,
			want: Token{AccessToken: "AT", OpenID: "oX", UnionID: "oU", Snapshot: true},
		},
		{
			name: "numbers as strings",
			body: `{"access_token":"AT","expires_in":"7200","openid":"oX","is_snapshotuser":"1","errcode":"0"}`,
			want: Token{AccessToken: "AT", OpenID: "oX", ExpiresIn: 2 * time.Hour, Snapshot: true},
		},
		{
			name: "not a snapshot",
			body: `{"access_token":"AT","openid":"oX","is_snapshotuser":"0","errcode":null}`,
			want: Token{AccessToken: "AT", OpenID: "oX"},
		},
		{
			name: "a snapshot mark that cannot be read counts",
			body: `{"access_token":"AT","openid":"oX","is_snapshotuser":"yes"}`,
			want: Token{AccessToken: "AT", OpenID: "oX", Snapshot: true},
		},
		{
			name: "byte order mark, control bytes, unknown fields, nonsense lives",
			body: "\xef\xbb\xbf\x00{\n\t\"access_token\":\"A\x07T\",\"openid\":\"oX\",\"expires_in\":1e300,\"x\":{\"openid\":[1]},\"y\":null}\r\n",
			want: Token{AccessToken: "AT", OpenID: "oX"},
		},
		{
			name: "life beyond bounds",
			body: `{"access_token":"AT","openid":"oX","expires_in":9007199254740000}`,
			want: Token{AccessToken: "AT", OpenID: "oX", ExpiresIn: maxLife},
		},
		{
			name: "negative life",
			body: `{"access_token":"AT","openid":"oX","expires_in":-7200}`,
			want: Token{AccessToken: "AT", OpenID: "oX"},
		},
		{name: "names are exact", body: `{"access_token":"AT","OpenID":"oX"}`, wantErr: "without openid"},
		{name: "no openid", body: `{"access_token":"AT"}`, wantErr: "without openid"},
		{name: "empty openid", body: `{"access_token":"AT","openid":""}`, wantErr: "without openid"},
		{name: "openid of another type", body: `{"access_token":"AT","openid":["oX"]}`, wantErr: "without openid"},
		{name: "openid with a space", body: `{"access_token":"AT","openid":"o X"}`, wantErr: "printable ASCII"},
		{name: "openid not ASCII", body: `{"access_token":"AT","openid":"o娃"}`, wantErr: "printable ASCII"},
		{name: "openid too long", body: `{"access_token":"AT","openid":"o` + strings.Repeat("x", maxID) + `"}`, wantErr: "printable ASCII"},
		{name: "unionid with a line break", body: `{"access_token":"AT","openid":"oX","unionid":"o\nU"}`, wantErr: "printable ASCII"},
		{name: "no token", body: `{"openid":"oX"}`, wantErr: "without access_token"},
		{name: "array", body: `[{"openid":"oX"}]`, wantErr: "not a JSON object"},
		{name: "null", body: `null`, wantErr: "not a JSON object"},
		{name: "string", body: `"oX"`, wantErr: "not a JSON object"},
		{name: "nothing", body: ``, wantErr: "not a JSON object"},
		{name: "page", body: `<html>{"openid":"oX"}`, wantErr: "not a JSON object"},
		{name: "cut short", body: `{"access_token":"AT","openid":"oX"`, wantErr: "not a JSON object"},
		{name: "something after the end", body: `{"access_token":"AT","openid":"oX"}{}`, wantErr: "not a JSON object"},
		{name: "errcode not a number", body: `{"access_token":"AT","openid":"oX","errcode":"none"}`, wantErr: "errcode"},
		{name: "errcode too large", body: `{"access_token":"AT","openid":"oX","errcode":99999999999}`, wantErr: "errcode"},
		{name: "errcode broken", body: `{"access_token":"AT","openid":"oX","errcode":0.5}`, wantErr: "errcode"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeToken([]byte(tt.body))
			switch {
			case tt.wantErr == "" && err != nil:
				t.Fatal(err)
			case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
				t.Fatalf("error %v, want one about %q", err, tt.wantErr)
			case err != nil && strings.Contains(err.Error(), "oX"):
				t.Fatalf("error repeats the body: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// decodeToken does with a body what attempt does.
func decodeToken(body []byte) (Token, error) {
	r, err := parse(body)
	if err != nil {
		return Token{}, err
	}
	if _, err := r.errcode(); err != nil {
		return Token{}, err
	}
	return readToken(r)
}

func TestReadUserInfo(t *testing.T) {
	tests := []struct {
		name, fields string
		want         UserInfo
	}{
		{"slashes escaped", `"headimgurl":"https:\/\/thirdwx.qlogo.cn\/mmopen\/x\/132","nickname":"小美"`, UserInfo{Nickname: "小美", AvatarURL: "https://thirdwx.qlogo.cn/mmopen/x/132"}},
		{"control bytes raw and escaped", "\"nickname\":\"a\x14\x07b\\u0014\\n\\u007f\\u0085c\"", UserInfo{Nickname: "abc"}},
		{"control byte inside a character", "\"nickname\":\"\xe5\x14\xbc\xa0\"", UserInfo{Nickname: "张"}},
		{"broken UTF-8 before the quote", "\"nickname\":\"a\xe5\xbc\"", UserInfo{Nickname: "a\uFFFD"}},
		{"lone surrogate", `"nickname":"a\ud83d"`, UserInfo{Nickname: "a\uFFFD"}},
		{"escaped quote after a backslash", "\"nickname\":\"\\\\\\\"\x01\"", UserInfo{Nickname: `\"`}},
		{"emoji, old and new", "\"nickname\":\"\ue415😀\"", UserInfo{Nickname: "\ue415😀"}},
		{"nickname as a number", `"nickname":12`, UserInfo{Nickname: "12"}},
		{"nickname null", `"nickname":null,"headimgurl":null`, UserInfo{}},
		{"nickname of another type", `"nickname":{"a":1},"headimgurl":[]`, UserInfo{}},
		{"picture is a script", `"headimgurl":"javascript:alert(1)"`, UserInfo{}},
		{"picture without host", `"headimgurl":"https:\/\/\/x"`, UserInfo{}},
		{"picture with a line break", `"headimgurl":"https:\/\/a\/\nb"`, UserInfo{}},
		{"picture too long", `"headimgurl":"https:\/\/a\/` + strings.Repeat("x", maxAvatarURL) + `"`, UserInfo{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parse([]byte(`{"openid":"oX",` + tt.fields + `}`))
			if err != nil {
				t.Fatal(err)
			}
			got, err := readUserInfo(r, "oX")
			if err != nil {
				t.Fatal(err)
			}
			tt.want.OpenID = "oX"
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"AT","expires_in":7200,"openid":"oX","scope":"snsapi_base","is_snapshotuser":1}`,
		"{\"openid\":\"oX\",\"nickname\":\"a\x14\xe5\xbc\",\"headimgurl\":\"https:\\/\\/x\\/\"}",
		`{"errcode":40029,"errmsg":"invalid code, rid: 5f2b8c1d-3a4b5c6d-7e8f9a0b"}`,
		`[]`, `null`, ``, `{"a":"\`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		cleaned := clean(body)
		if !utf8.Valid(cleaned) {
			t.Fatalf("not UTF-8: %q", cleaned)
		}
		// Cleaning is for bodies that are not JSON; it leaves JSON alone.
		if json.Valid(body) && utf8.Valid(body) && string(cleaned) != string(body) {
			t.Fatalf("JSON changed: %q", cleaned)
		}
		r, err := parse(body)
		if err != nil {
			return
		}
		code, err := r.errcode()
		if err == nil && code != 0 {
			e := newAPIError(apiAccessToken, code, r.text("errmsg"), newScrubber(request{}))
			if len(e.Message) > maxMessage || !utf8.ValidString(e.Message) {
				t.Fatalf("message %q", e.Message)
			}
		}
		if tok, err := readToken(r); err == nil {
			checkID(t, tok.OpenID, true)
			checkID(t, tok.UnionID, false)
			if tok.ExpiresIn < 0 || tok.ExpiresIn > maxLife {
				t.Fatalf("life %v", tok.ExpiresIn)
			}
		}
		if u, err := readUserInfo(r, r.text("openid")); err == nil {
			checkID(t, u.OpenID, true)
			if !utf8.ValidString(u.Nickname) || strings.ContainsFunc(u.Nickname, unicode.IsControl) {
				t.Fatalf("nickname %q", u.Nickname)
			}
			if a := u.AvatarURL; a != "" && !strings.HasPrefix(strings.ToLower(a), "http") {
				t.Fatalf("picture %q", a)
			}
		}
	})
}

func checkID(t *testing.T, id string, required bool) {
	t.Helper()
	if required && id == "" || len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool { return c < 0x21 || c > 0x7e }) {
		t.Fatalf("id %q", id)
	}
}
