package wechattest

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ReleaseGroups is how many groups of test accounts there are.
const ReleaseGroups = 5

// testAccount is one that WeChat tests a platform with.
type testAccount struct{ appid, userName string }

// releaseGroups are the accounts of the release test, an official account and a
// mini program each. WeChat draws one group at random.
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html
var releaseGroups = [ReleaseGroups][2]testAccount{
	{{"wx570bc396a51b8ff8", "gh_3c884a361561"}, {"wxd101a85aa106f53e", "gh_8dad206e9538"}},
	{{"wx9252c5e0bb1836fc", "gh_c0f28a78b318"}, {"wxc39235c15087f6f3", "gh_905ae9d01059"}},
	{{"wx8e1097c5bc82cde9", "gh_3f222ed8d140"}, {"wx7720d01d4b2a4500", "gh_393666f1fdf4"}},
	{{"wx14550af28c71a144", "gh_26128078e9ab"}, {"wx05d483572dcd5d8b", "gh_39abb5d4e1b7"}},
	{{"wxa35b9c23cfe664eb", "gh_2b3713f184a6"}, {"wx5910277cae6fd970", "gh_7818dcb60240"}},
}

const (
	releaseText  = "TESTCOMPONENT_MSG_TYPE_TEXT"
	releaseQuery = "QUERY_AUTH_CODE:"
	releaseEvent = "LOCATION"

	// releaseWait is how long the message through the API may take.
	releaseWait = 10 * time.Second
)

// ErrReleaseRunning is the answer to a second release test at the same time.
var ErrReleaseRunning = errors.New("a release test is running")

// ReleaseStep is a line of the checklist.
type ReleaseStep struct {
	Account  string        `json:"account,omitempty"` // appid of the test account; "" for the platform itself
	Name     string        `json:"name"`
	OK       bool          `json:"ok"`
	Optional bool          `json:"optional"` // does not decide about the whole
	Problem  string        `json:"problem,omitempty"`
	Took     time.Duration `json:"took_ns"`
}

// ReleaseReport is the outcome of a release test.
type ReleaseReport struct {
	ComponentID string        `json:"component"`
	Group       int           `json:"group"` // 1 to 5
	Passed      bool          `json:"passed"`
	Steps       []ReleaseStep `json:"steps"`
}

// ReleaseTest does what WeChat does before a platform may serve everybody
// (全网发布检测), with a group of test accounts drawn at random. They exist while
// they are needed. The error is about the test itself; what the platform did
// wrong is in the report.
func (s *Server) ReleaseTest(ctx context.Context, componentID string) (ReleaseReport, error) {
	return s.ReleaseTestGroup(ctx, componentID, 1+rand.IntN(ReleaseGroups))
}

// ReleaseTestGroup is ReleaseTest with a group from 1 to 5.
func (s *Server) ReleaseTestGroup(ctx context.Context, componentID string, group int) (ReleaseReport, error) {
	if group < 1 || group > ReleaseGroups {
		return ReleaseReport{}, fmt.Errorf("no release group %d, they are 1 to %d", group, ReleaseGroups)
	}
	s.mu.Lock()
	_, known := s.components[componentID]
	running := s.desk.releasing
	if known && !running {
		s.desk.releasing = true
	}
	wait := releaseWait
	if seconds := s.behaviour.ReleaseSeconds; seconds > 0 {
		wait = time.Duration(seconds) * time.Second
	}
	s.mu.Unlock()
	switch {
	case !known:
		return ReleaseReport{}, fmt.Errorf("no third-party platform %q", componentID)
	case running:
		return ReleaseReport{}, ErrReleaseRunning
	}
	t := &releaseTest{s: s, wait: wait, report: ReleaseReport{ComponentID: componentID, Group: group, Passed: true}}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.desk.releasing = false
	}()
	t.step(ctx, "推送 component_verify_ticket", false, func(ctx context.Context) error {
		p, err := s.PushTicket(ctx, componentID)
		return atOnce(p, err)
	})
	for i, kind := range []AppKind{ServiceAccount, MiniProgram} {
		t.account(ctx, releaseGroups[group-1][i], kind)
	}
	if err := ctx.Err(); err != nil {
		return ReleaseReport{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.desk.reports == nil {
		s.desk.reports = map[string]ReleaseReport{}
	}
	s.desk.reports[componentID] = t.report
	return t.report, nil
}

// releaseTest is a test on its way.
type releaseTest struct {
	s      *Server
	wait   time.Duration
	of     testAccount // whose turn it is
	report ReleaseReport
}

// step adds a line. The steps after a failed one are gone through all the same,
// so that a report tells everything.
func (t *releaseTest) step(ctx context.Context, name string, optional bool, do func(context.Context) error) {
	if ctx.Err() != nil {
		return
	}
	start := time.Now()
	err := do(ctx)
	line := ReleaseStep{Account: t.of.appid, Name: name, OK: err == nil, Optional: optional, Took: time.Since(start)}
	if err != nil {
		line.Problem = err.Error()
		t.report.Passed = t.report.Passed && optional
	}
	t.report.Steps = append(t.report.Steps, line)
}

// account goes through the steps of one account. A mini program has no passive
// replies, which only official accounts are documented to be tested for.
func (t *releaseTest) account(ctx context.Context, of testAccount, kind AppKind) {
	t.of = of
	id, mini := t.report.ComponentID, kind == MiniProgram
	person, leave := t.s.enter(id, of, kind)
	defer leave()

	code := t.s.Grant(id, of.appid)
	t.step(ctx, "推送 authorized", false, func(ctx context.Context) error {
		p, err := t.s.PushAuthorized(ctx, id, of.appid, code, "")
		return atOnce(p, err)
	})
	t.step(ctx, "api_query_auth 换取授权", true, func(ctx context.Context) error {
		if !t.await(ctx, func() bool { return t.s.exchanged(id, code) }) {
			return fmt.Errorf("the code of the push was not exchanged within %v", t.wait)
		}
		return nil
	})
	t.step(ctx, "文本消息的被动回复 passive reply", mini, func(ctx context.Context) error {
		p, err := t.s.PushTextOnBehalf(ctx, id, of.appid, person, releaseText)
		return replies(p, err, releaseText+"_callback")
	})
	t.step(ctx, "API 文本消息 reply through the API", false, func(ctx context.Context) error {
		return t.throughAPI(ctx, person)
	})
	t.step(ctx, "事件消息的被动回复 event reply", true, func(ctx context.Context) error {
		p, err := t.s.PushEventOnBehalf(ctx, id, of.appid, person, releaseEvent,
			"Latitude", "23.137466", "Longitude", "113.352425", "Precision", "119.385040")
		return replies(p, err, releaseEvent+"from_callback")
	})
	t.step(ctx, "推送 unauthorized", false, func(ctx context.Context) error {
		p, err := t.s.Deauthorize(ctx, id, of.appid)
		return atOnce(p, err)
	})
}

// throughAPI sends a code in a message: the answer is empty, and later the person
// gets a message that only somebody who exchanged the code can send.
func (t *releaseTest) throughAPI(ctx context.Context, person string) error {
	s, id := t.s, t.report.ComponentID
	code, openid := s.Grant(id, t.of.appid), s.OpenID(person, t.of.appid)
	before := len(s.CustomMessages())
	p, err := s.PushTextOnBehalf(ctx, id, t.of.appid, person, releaseQuery+code)
	if err := atOnce(p, err); err != nil {
		return err
	}
	if answer := p.Answer(); answer != "" {
		return fmt.Errorf("the answer to the push is %.80q, not empty", answer)
	}
	want := code + "_from_api"
	var seen error
	found := t.await(ctx, func() bool {
		messages := s.CustomMessages()
		for _, m := range messages[min(before, len(messages)):] {
			if m.AppID != t.of.appid {
				continue
			}
			if seen = isText(m, openid, want); seen == nil {
				return true
			}
		}
		return false
	})
	switch {
	case found && !s.exchanged(id, code):
		return errors.New("the message came, but the code was not exchanged with api_query_auth")
	case found:
		return nil
	case seen != nil:
		return fmt.Errorf("no customer-service message %q within %v: %w", want, t.wait, seen)
	case !s.exchanged(id, code):
		return fmt.Errorf("no customer-service message %q within %v, and the code was not exchanged with api_query_auth", want, t.wait)
	}
	return fmt.Errorf("no customer-service message %q within %v, though the code was exchanged", want, t.wait)
}

// await waits for something that shows in the journal.
func (t *releaseTest) await(ctx context.Context, condition func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, t.wait)
	defer cancel()
	return t.s.await(ctx, condition)
}

// atOnce is what is wrong with the first answer to a push; WeChat's test does not
// ask twice.
func atOnce(p Pushed, err error) error {
	if len(p.Attempts) > 0 {
		return p.Attempts[0].Err
	}
	return cmp.Or(err, p.Err)
}

// replies wants a text for the person. Signature, nonce, tail and names were
// judged when the answer came.
func replies(p Pushed, err error, want string) error {
	if err := atOnce(p, err); err != nil {
		return err
	}
	if p.Reply == "" {
		return fmt.Errorf("no passive reply, it should be %q", want)
	}
	var reply struct {
		XMLName xml.Name `xml:"xml"`
		MsgType string
		Content string
	}
	if err := xml.Unmarshal([]byte(p.Reply), &reply); err != nil {
		return err
	}
	if reply.MsgType != "text" || reply.Content != want {
		return fmt.Errorf("the reply is %s %.80q, not text %q", reply.MsgType, reply.Content, want)
	}
	return nil
}
