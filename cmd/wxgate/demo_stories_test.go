package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
)

// Every button of the demo's switch leads to the page that its visitor should
// see, by HTTP alone.
func TestDemoStories(t *testing.T) {
	t.Parallel()
	p, public := startDemo(t)
	jar, _ := cookiejar.New(nil)
	client := http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	visit := func(story demoStory) string {
		res, err := client.PostForm(public+demoSwitchPath, url.Values{"visitor": {story.Visitor}, "client": {story.Client}})
		if err != nil {
			t.Fatalf("%s: %v", story.Label, err)
		}
		res.Body.Close()
		r, _ := http.NewRequest(http.MethodGet, public+"/", nil)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Accept-Language", "zh-CN")
		if res, err = client.Do(r); err != nil {
			t.Fatalf("%s: %v", story.Label, err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	want := map[string]string{"iphone": "抓个娃娃", "mini": "抓个娃娃", "pc": "扫码登录", demoDouble: "callback", "snapshot": "使用完整服务"}
	for _, story := range demoStories {
		key := story.Client
		if story.Visitor == "snapshot" {
			key = story.Visitor
		}
		page := visit(story)
		if !strings.Contains(page, want[key]) {
			t.Errorf("%s: no %q in %.400s", story.Label, want[key], page)
		}
		if key == "pc" || key == "snapshot" {
			if !strings.Contains(page, demoPage) {
				t.Errorf("%s: no way back to the switch", story.Label)
			}
		}
	}
	p.signal(os.Interrupt)
	p.exit()
}
