package proxy

import (
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

func (o *operator) templates(query string) (list struct {
	List []wechat.Template `json:"template_list"`
}) {
	o.w.t.Helper()
	o.into(&list, "GET", "/admin/component/templates"+query, "")
	return list
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 2)
	w.opTicket()
	for path, want := range map[string]string{"templates": `{"template_list":[]}`, "drafts": `{"draft_list":[]}`} {
		if res := o.call("GET", "/admin/component/"+path, ""); res.StatusCode != 200 || res.body != want+"\n" {
			t.Errorf("%s: %d %s", path, res.StatusCode, res.body)
		}
	}
	draft := w.wechat.AddDraft(opPlatformID, wechattest.Draft{Version: "1.2.3", Description: "新的 <娃娃> & 更多", AppID: "wxdev", Developer: "阿强"})
	var drafts struct {
		List []wechat.Draft `json:"draft_list"`
	}
	o.into(&drafts, "GET", "/admin/component/drafts", "")
	if len(drafts.List) != 1 || drafts.List[0].ID != int64(draft) || drafts.List[0].Version != "1.2.3" || drafts.List[0].Developer != "阿强" {
		t.Fatalf("drafts: %+v", drafts)
	}
	for _, body := range []string{`{"draft_id":1}`, `{"draft_id":1,"template_type":1}`} {
		if res := o.call("POST", "/admin/component/templates", body); res.StatusCode != 204 || res.body != "" {
			t.Errorf("%s: %d %s", body, res.StatusCode, res.body)
		}
	}
	if all, ordinary, standard := o.templates("").List, o.templates("?template_type=0").List, o.templates("?template_type=1").List; len(all) != 2 || len(ordinary) != 1 || len(standard) != 1 ||
		ordinary[0].Kind != 0 || standard[0].Kind != 1 || ordinary[0].Description != "新的 <娃娃> & 更多" {
		t.Fatalf("all %+v, ordinary %+v, standard %+v", all, ordinary, standard)
	}
	id := o.templates("?template_type=0").List[0].ID
	at := "/admin/component/templates/" + string(must(jsonNumber(id)))
	if res := o.call("DELETE", at, ""); res.StatusCode != 204 || res.body != "" {
		t.Errorf("deleting: %d %s", res.StatusCode, res.body)
	}
	o.wants("DELETE", at, "", 404, "not_found", "errcode 85064. There is no such draft or template")
	if left := o.templates("").List; len(left) != 1 || left[0].ID == id {
		t.Errorf("left: %+v", left)
	}
	o.wants("POST", "/admin/component/templates", `{"draft_id":99}`, 404, "not_found", "errcode 85064")
	w.wechat.Inject(wechattest.AddTemplatePath, wechattest.Fault{Errcode: 85065})
	o.wants("POST", "/admin/component/templates", `{"draft_id":1}`, 400, "bad_request", "errcode 85065. The template library is full")
	w.wechat.Inject(wechattest.AddTemplatePath, wechattest.Busy)
	o.wants("POST", "/admin/component/templates", `{"draft_id":0}`, 503, "wechat_unavailable", "errcode -1. WeChat is busy")

	for body, want := range map[string]string{
		`{}`: "draft_id", `{"draft_id":-1}`: "draft_id", `{"draft_id":"1"}`: "draft_id", `{"draft_id":null}`: "draft_id", `{"draft_id":1.5}`: "draft_id",
		`{"draft_id":1,"template_type":2}`: "template_type", `{"draft_id":1,"kind":1}`: "unknown", ``: "too early",
	} {
		o.wants("POST", "/admin/component/templates", body, 400, "bad_request", want)
	}
	for query, want := range map[string]string{
		"?template_type=2": "template_type is 0", "?template_type=-1": "template_type is 0", "?template_type=x": "template_type is 0", "?template_type=": "empty", "?template_type=0&template_type=1": "more than once",
		"?kind=1": "unknown parameter",
	} {
		o.wants("GET", "/admin/component/templates"+query, "", 400, "bad_request", want)
	}
	for _, id := range []string{"x", "-1", "1.0", "99999999999999999999", "%20"} {
		o.wants("DELETE", "/admin/component/templates/"+id, "", 404, "not_found", "The id of a template is a number")
	}
}

func TestFastRegistration(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 1)
	w.opTicket()
	const company = `{"name":" 抓娃娃有限公司 ","code":"91440300MA5EXAMPLE","component_phone":"0755-12345678"}`
	var task struct {
		TaskID       string `json:"taskid"`
		AuthorizeURL string `json:"authorize_url"`
		Status       int    `json:"status"`
	}
	o.into(&task, "POST", "/admin/component/fastregister", company)
	if task.TaskID == "" || !strings.HasPrefix(task.AuthorizeURL, "http") || task.Status != 0 {
		t.Errorf("got %+v", task)
	}
	o.wants("POST", "/admin/component/fastregister", company, 400, "bad_request", "errcode 89249. A registration of this company is under way")
	if appID, _, _ := w.wechat.ConfirmRegistration(t.Context(), task.TaskID); appID == "" {
		t.Errorf("the task %q is none of WeChat's", task.TaskID)
	}
	w.wechat.Inject(wechattest.RegisterEnterprisePath, wechattest.Fault{Errcode: 89254})
	o.wants("POST", "/admin/component/fastregister", company, 503, "wechat_unavailable", "lacks permission sets")
	if text := w.log.String(); strings.Contains(text, "0755-12345678") || strings.Contains(text, task.AuthorizeURL) {
		t.Error("the log has what is between the operator and WeChat")
	}
	for from, to := range map[string][]string{
		`" 抓娃娃有限公司 "`:          {`""`, `"  "`, `"a\nb"`, `"` + strings.Repeat("名", 101) + `"`, `1`},
		`"91440300MA5EXAMPLE"`: {`""`, `"91440300MA5EXAMPL"`, `"91440300MA5EXAMPLE1"`, `"91440300ma5example"`, `"91440300MA5EXAMPL-"`, `"９1440300MA5EXAMPL"`},
		`"0755-12345678"`:      {`""`, `"phone"`, `"0755"`, `"+"`, `"` + strings.Repeat("1", 40) + `"`},
		`{`:                    {`{"legal_persona_name":"x",`, ``},
	} {
		for _, wrong := range to {
			o.wants("POST", "/admin/component/fastregister", strings.Replace(company, from, wrong, 1), 400, "bad_request", "")
		}
	}
}

// Without a ticket nothing can be asked, and that is said with what to look at.
func TestPlatformWithoutATicket(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 1)
	asking := map[string]string{
		"POST sync": "", "GET templates": "", "GET drafts": "", "POST templates": `{"draft_id":1}`, "DELETE templates/1": "",
		"POST fastregister": platformCalls["POST /fastregister"],
	}
	all := func(status int, text string) {
		t.Helper()
		for call, body := range asking {
			method, path, _ := strings.Cut(call, " ")
			o.wants(method, "/admin/component/"+path, body, status, "wechat_unavailable", text)
		}
	}
	all(503, "There is no valid verify ticket")
	w.opHears("component_verify_ticket", w.clock.now(), "ComponentVerifyTicket", "ticket@@@of-somebody-else")
	all(503, "WeChat refused cgi-bin/component/api_component_token: errcode 61006.")
	w.clock.advance(time.Minute)
	w.opTicket()
	w.wechat.AddComponent(wechattest.Component{ID: opPlatformID, Secret: "reset in the console", Token: "tokenOfThePlatform", AESKey: strings.Repeat("k", 43)})
	w.clock.advance(time.Minute)
	all(503, "errcode 40125. The AppSecret is wrong")
}
