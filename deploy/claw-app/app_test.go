package main

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func call(t *testing.T, h http.Handler, path string, form url.Values, data any) (code int) {
	t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := struct {
		Code int
		Data any
	}{Data: data}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return answer.Code
}

// The weaknesses are what the app is for: without them nothing would be shown.
func TestWhoeverNamesAnAccountGetsIt(t *testing.T) {
	h := newApp("127.0.0.1:3000")
	var mine, other, again tourist
	call(t, h, "/dollsCatcher/tourist", nil, &mine)
	call(t, h, "/dollsCatcher/tourist", nil, &other)
	call(t, h, "/dollsCatcher/tourist", url.Values{"sid": {mine.Accid}}, &again)
	if mine.Token == "" || other.Accid == mine.Accid || again.Token != mine.Token {
		t.Errorf("got %+v, %+v, %+v", mine, other, again)
	}
	var machine tourist
	if code := call(t, h, "/dollsCatcher/host/query", nil, &machine); code != 200 || machine.Token == "" {
		t.Errorf("the machine's account: %d %+v", code, machine)
	}
}

func TestRoomList(t *testing.T) {
	h := newApp("127.0.0.1:3000")
	for form, want := range map[string]int{
		"sid=aaaaaaaaaaaaaaaaaaaaaaaaaa&limit=10&offset=0": 200, "sid=x": 200, "": 401, "sid=": 401, "sid=a+b": 401, "sid=x&limit=many": 400,
	} {
		values, _ := url.ParseQuery(form)
		if code := call(t, h, "/dollsCatcher/room/list", values, nil); code != want {
			t.Errorf("%s: %d, want %d", form, code, want)
		}
	}
}

func get(h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	h := newApp("127.0.0.1:3000")
	if w := get(h, "/"); w.Code != 302 || w.Header().Get("Location") != "http://127.0.0.1:3000/h5/index.html" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := get(h, "/h5/index.html"); w.Code != 200 || w.Header().Get("Last-Modified") != "Mon, 09 Jul 2018 08:00:00 GMT" || w.Header().Get("Cache-Control") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := get(h, "/h5/audio/tune.wav", "Range", "bytes=0-3"); w.Code != 206 || w.Body.String() != "RIFF" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	for path, want := range map[string]int{"/h5/images/doll.png": 404, "/h5/images/doll.png?old": 404, "/h5/nothing": 404, "/h5/": 404, "/healthCheck": 200} {
		if w := get(h, path); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, page := range []string{"index.html", "room.html"} {
		text, err := fs.ReadFile(web, "web/h5/"+page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(text, -1) {
			if w := get(h, "/h5/"+string(m[1])); w.Code != 200 {
				t.Errorf("%s names %s: %d", page, m[1], w.Code)
			}
		}
	}
}

func TestTuneIsSound(t *testing.T) {
	s := httptest.NewServer(newApp("127.0.0.1:3000"))
	defer s.Close()
	res, err := http.Get(s.URL + "/h5/audio/tune.wav")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body[:4]) != "RIFF" || string(body[8:16]) != "WAVEfmt " || res.Header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%v %v %q", err, res.Header, body[:44])
	}
	if samples := len(body) - 44; samples != 6*14*noteLength || int(body[40])|int(body[41])<<8|int(body[42])<<16 != samples {
		t.Errorf("%d samples", samples)
	}
}
