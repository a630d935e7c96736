package wechattest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestTemplates(t *testing.T) {
	s, _ := startPlatform(t)
	cat := platformToken(t, s)
	get := func(path string, pairs ...any) reply {
		t.Helper()
		return ask(t, s, path, append(pairs, "access_token", cat)...)
	}
	if r := get(wechattest.DraftListPath); r.raw != `{"errcode":0,"errmsg":"ok","draft_list":[]}` {
		t.Errorf("no drafts: %s", r.raw)
	}
	draft := s.AddDraft(platform, wechattest.Draft{Description: "首版", AppID: mini, Program: "开发小程序", Developer: "小美"})
	second := s.AddDraft(platform, wechattest.Draft{Version: "2.0"})
	r := get(wechattest.DraftListPath)
	list := r.fields["draft_list"].([]any)
	if d := list[0].(map[string]any); len(list) != 2 || d["draft_id"] != float64(draft) || d["user_version"] != "1.0.0" || d["user_desc"] != "首版" ||
		d["developer"] != "小美" || d["source_miniprogram_appid"] != mini || d["create_time"] == 0.0 {
		t.Errorf("drafts %s", r.raw)
	}
	add := func(id, kind int) int {
		t.Helper()
		return post(t, s, wechattest.AddTemplatePath, cat, "draft_id", id, "template_type", kind).errcode()
	}
	if a, b, c := add(draft, 0), add(second, 1), add(99, 0); a != 0 || b != 0 || c != 85064 {
		t.Errorf("added: %d, %d, unknown: %d", a, b, c)
	}
	all := get(wechattest.TemplateListPath).fields["template_list"].([]any)
	standard := get(wechattest.TemplateListPath, "template_type", "1").fields["template_list"].([]any)
	if len(all) != 2 || len(standard) != 1 || standard[0].(map[string]any)["user_version"] != "2.0" || all[0].(map[string]any)["draft_id"] != float64(draft) {
		t.Errorf("templates %v, standard ones %v", all, standard)
	}
	if r := post(t, s, wechattest.TemplateListPath, cat, "template_type", 0); r.errcode() != 43001 {
		t.Errorf("POST: %s", r.raw)
	}
	if r := ask(t, s, wechattest.AddTemplatePath, "access_token", cat); r.errcode() != 43002 {
		t.Errorf("GET: %s", r.raw)
	}
	id := all[0].(map[string]any)["template_id"]
	remove := func() int { return post(t, s, wechattest.DeleteTemplatePath, cat, "template_id", id).errcode() }
	if a, b := remove(), remove(); a != 0 || b != 85064 {
		t.Errorf("removed: %d, again: %d", a, b)
	}
	for range 199 {
		if got := add(draft, 0); got != 0 {
			t.Fatalf("added: %d", got)
		}
	}
	if got := add(draft, 0); got != 85065 || len(s.ComponentState(platform).Templates) != 200 {
		t.Errorf("the 201st: %d", got)
	}
	if r := ask(t, s, wechattest.DraftListPath, "access_token", accountToken(t, s)); r.errcode() != 61014 {
		t.Errorf("an account's token: %s", r.raw)
	}
}

func TestRegistration(t *testing.T) {
	s, d := startPlatform(t)
	cat := platformToken(t, s)
	if r := post(t, s, wechattest.FastRegisterPath+"?action=create&component_access_token="+cat, "", "name", "x"); r.errcode() != -1 {
		t.Errorf("withdrawn: %s", r.raw)
	}
	const code = "91310000MA1FL00000"
	register := func(code string, version bool) reply {
		t.Helper()
		return post(t, s, wechattest.RegisterEnterprisePath, cat, "name", "娃娃机有限公司", "code", code, "component_phone", "13800000000", "new_version", version)
	}
	for _, tt := range []struct {
		r    reply
		want int
	}{{register(code, false), -1}, {register("", true), 89253}, {register("123", true), 89255}} {
		if tt.r.errcode() != tt.want {
			t.Errorf("%s, want %d", tt.r.raw, tt.want)
		}
	}
	r := register(code, true)
	link, err := url.Parse(r.text("authorize_url"))
	if task := r.text("taskid"); err != nil || task == "" || link.Query().Get("task") != task || r.number("status") != 0 {
		t.Fatalf("registered %s", r.raw)
	}
	if again := register(code, true); again.errcode() != 89249 {
		t.Errorf("running: %s", again.raw)
	}

	b := newBrowser(t, wechattest.UAIOS)
	if p := b.get(link.String()); p.StatusCode != 200 || !strings.Contains(p.body, "娃娃机有限公司") || !strings.Contains(p.body, "confirm") {
		t.Errorf("page %d %s", p.StatusCode, p.body)
	}
	if p := b.post(link.String(), "answer", "perhaps"); p.StatusCode != 400 {
		t.Errorf("answered perhaps: %d", p.StatusCode)
	}
	if p := b.post(link.String(), "answer", "confirm"); p.StatusCode != 303 {
		t.Errorf("confirmed: %d %s", p.StatusCode, p.body)
	}
	got := d.last()
	state := s.ComponentState(platform)
	created := state.Registrations[0].AppID
	if got.fields["InfoType"] != "notify_third_fasteregister" || got.fields["status"] != "0" || got.fields["appid"] != created || created == "" ||
		!strings.Contains(got.message, "<info><name><![CDATA[娃娃机有限公司]]></name>") || !strings.Contains(got.message, code) {
		t.Errorf("received %+v", got)
	}
	exchangeGrant(t, s, cat, got.fields["auth_code"])
	if info := post(t, s, wechattest.AuthorizerInfoPath, cat, "component_appid", platform, "authorizer_appid", created); !strings.Contains(info.raw, "MiniProgramInfo") {
		t.Errorf("created %s", info.raw)
	}
	if p := b.get(link.String()); !strings.Contains(p.body, created) {
		t.Errorf("afterwards %s", p.body)
	}
	if _, _, err := s.ConfirmRegistration(t.Context(), r.text("taskid")); err == nil {
		t.Error("confirmed twice")
	}

	refused := register(code, true)
	b.post(refused.text("authorize_url"), "answer", "refuse")
	if got := d.last().fields; got["status"] != "-1" || got["auth_code"] != "" {
		t.Errorf("refused: %v", got)
	}
	late := register(code, true)
	s.Advance(24 * time.Hour)
	if id, _, err := s.ConfirmRegistration(t.Context(), late.text("taskid")); id != "" || err != nil || d.last().fields["status"] != "100001" {
		t.Errorf("late: %q, %v", id, err)
	}
	if _, err := s.FailRegistration(t.Context(), late.text("taskid"), 0, ""); err == nil {
		t.Error("failed with 0")
	}
	if _, err := s.FailRegistration(t.Context(), "x", 101, ""); err == nil {
		t.Error("failed an unknown task")
	}
	if p := b.get(s.URL + "/sim/register?task=x"); p.StatusCode != 404 {
		t.Errorf("unknown task: %d", p.StatusCode)
	}
}
