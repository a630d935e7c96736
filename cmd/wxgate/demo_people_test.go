package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"wxgate/wechat/wechattest"
)

// peopleOf is the story's page as data.
func peopleOf(t *testing.T, public string) (v peopleView) {
	t.Helper()
	res, err := http.Get(public + peopleData)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", res.Status, err)
	}
	return v
}

func (v peopleView) eventTypes(t *testing.T) (types []string) {
	t.Helper()
	for _, raw := range v.Events {
		var e struct{ Type string }
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	return types
}

// First the phone, then the PC, then WeChat says that they are one person: both
// devices go on without a login, as the same user, and the app is told.
func TestDemoPeople(t *testing.T) {
	t.Parallel()
	p, public := startDemo(t)
	step := func(name string, want int) {
		t.Helper()
		res, err := http.PostForm(public+peopleStep, url.Values{"step": {name}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Fatalf("%s answered %s", name, res.Status)
		}
	}
	for range 2 { // the story can be told again
		step("phone", http.StatusNoContent)
		step("pc", http.StatusNoContent)
		v := peopleOf(t, public)
		if len(v.Users) != 2 || v.Phone.Now == v.PC.Now {
			t.Fatalf("before WeChat says so: %+v", v)
		}
		step("follow", http.StatusNoContent)
		eventually(t, patience, "one user for both devices", func() bool {
			v := peopleOf(t, public)
			return v.Phone.Now == v.PC.Now && v.PC.Now == v.PC.First && v.Phone.First != v.Phone.Now && len(v.Users) == 1
		})
		eventually(t, patience, "the events", func() bool {
			return slices.Equal(peopleOf(t, public).eventTypes(t), []string{"user.created", "user.created", "user.merged"})
		})
		step("again", http.StatusNoContent)
	}
	step("nonsense", http.StatusInternalServerError)
	p.signal(os.Interrupt)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestDemoPeopleOnScreen(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	p, public := startDemo(t)
	b := c.tab(t, wechattest.UAPlainChrome, chinese)
	b.do(chromedp.EmulateViewport(1100, 1300))
	b.open(public + peoplePage)
	for _, name := range []string{"phone", "pc", "follow"} {
		b.until(`!document.getElementById('` + name + `').disabled`)
		b.click("#" + name)
	}
	b.until(`document.querySelectorAll('.card.same').length === 2 && document.getElementById('events').innerText.includes('user.merged')`)
	b.shot("demo-people")
	b.until(`document.getElementById('problem').textContent === ''`)
	p.signal(os.Interrupt)
	p.exit()
}
