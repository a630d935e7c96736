package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/template"

	"wxgate/identity"
)

// Answers are calls of the app's own login API that the gateway answers in its
// place: such an app hands an account to whoever asks, and names it by a value
// that the caller sends. The zero value answers nothing.
type Answers struct {
	exact map[string]*calledAnswer // by method and path as written
	// loose are the same with folded paths: what an app may take for one of
	// the paths above, too.
	loose  map[string]bool
	yunxin bool
}

// calledAnswer is what one call is answered with.
type calledAnswer struct{ body *template.Template }

// ParseAnswers reads WXGATE_ANSWERS: lines `METHOD PATH = TEMPLATE`. A template
// has to give valid JSON whoever the user is. All faults are reported, joined,
// one line each.
func ParseAnswers(text string) (Answers, error) {
	a := Answers{exact: map[string]*calledAnswer{}, loose: map[string]bool{}}
	var faults []error
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := a.add(line); err != nil {
			oneLine := strings.Join(strings.Fields(err.Error()), " ")
			faults = append(faults, fmt.Errorf("line %d: %s", number, oneLine))
		}
	}
	return a, errors.Join(faults...)
}

func (a *Answers) add(line string) error {
	call, body, ok := strings.Cut(line, " = ")
	if !ok {
		call, body, ok = strings.Cut(line, "=")
	}
	fields := strings.Fields(call)
	if !ok || len(fields) != 2 {
		return errors.New("want METHOD PATH = TEMPLATE")
	}
	method, path := fields[0], fields[1]
	switch {
	case !methods[method]:
		return fmt.Errorf("%s is not a method that is ever served (methods are upper case)", method)
	case !strings.HasPrefix(path, "/"):
		return errors.New("the path must begin with /")
	case reserved(strings.ToLower(path)):
		return fmt.Errorf("%s is the gateway's own", prefix)
	case strings.ContainsFunc(path, unfitForRule) || clean(path) != path:
		return fmt.Errorf(`%s: the path must be plain ASCII: no empty or dot segments, no %%, ;, ?, #, \ or control bytes`, path)
	case a.exact[method+" "+path] != nil:
		return fmt.Errorf("%s %s is answered already", method, path)
	}
	t, yunxin, err := parseAnswer(strings.TrimSpace(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	a.exact[method+" "+path] = &calledAnswer{t}
	a.loose[method+" "+loosely(path)] = true
	a.yunxin = a.yunxin || yunxin
	return nil
}

// parseAnswer tries a template on people of whom nothing is known, on ordinary
// ones, and on those who would break out of a string. It tells whether one of
// them needed an account at Yunxin.
func parseAnswer(text string) (_ *template.Template, yunxin bool, err error) {
	t, err := template.New("answer").Parse(text)
	if err != nil {
		return nil, false, err
	}
	for _, value := range []string{"", "wang", nastyText} {
		d := &answerData{name: value, avatar: value, user: value, openid: value, unionid: value}
		d.account = func() (*imLogin, error) {
			yunxin = true
			return &imLogin{appKey: value, account: value, token: value}, nil
		}
		body, err := execute(t, d)
		if err != nil {
			return nil, false, err
		}
		if !json.Valid(body) {
			return nil, false, fmt.Errorf("for a user whose values are %q it gives no valid JSON (values stand between quotes that the template writes)", value)
		}
	}
	return t, yunxin, nil
}

// nastyText has what ends a string in JSON, in a script and in Go's own forms.
const nastyText = "\"}],'\\\n\r\t\x00\x1f</script><!--&\u2028\u2029\u200b\U000e0001娃娃{{.}}%s\xff"

// NeedsYunxin reports that some answer uses .Account, .Token or .AppKey, so
// that without Yunxin it could never be given.
func (a Answers) NeedsYunxin() bool { return a.yunxin }

// find returns the answer of a call. The path counts as it was sent, byte for
// byte. near tells that an app might take it for one that is answered here;
// such a call would reach the very API that must not be asked.
func (a Answers) find(method, rawPath string) (found *calledAnswer, near bool) {
	if len(a.exact) == 0 {
		return nil, false
	}
	if method == http.MethodHead {
		method = http.MethodGet // both read the same thing
	}
	if found = a.exact[method+" "+rawPath]; found != nil {
		return found, false
	}
	if plain(rawPath) {
		return nil, a.loose[method+" "+loosely(rawPath)]
	}
	all, _ := readings(rawPath)
	for _, path := range all {
		if a.loose[method+" "+loosely(path)] {
			return nil, true
		}
	}
	return nil, false
}

// loosely is a path as frameworks compare it that ignore case or a final slash.
func loosely(path string) string { return strings.TrimSuffix(strings.ToLower(path), "/") }

// maxAnswer bounds an answer in bytes: a template can repeat without end.
const maxAnswer = 64 << 10

func execute(t *template.Template, d *answerData) ([]byte, error) {
	var b answerWriter
	err := t.Execute(&b, d)
	return b.text, err
}

type answerWriter struct{ text []byte }

func (w *answerWriter) Write(p []byte) (int, error) {
	if len(w.text)+len(p) > maxAnswer {
		return 0, fmt.Errorf("longer than %d bytes", maxAnswer)
	}
	w.text = append(w.text, p...)
	return len(p), nil
}

// answerData is what templates can use, and nothing else of it can be printed.
type answerData struct {
	user, name, avatar, openid, unionid string

	account func() (*imLogin, error) // asked only by templates that use it
}

type imLogin struct{ appKey, account, token string }

func (d *answerData) User() quoted    { return quoted(d.user) }
func (d *answerData) Name() quoted    { return quoted(d.name) }
func (d *answerData) Avatar() quoted  { return quoted(d.avatar) }
func (d *answerData) Openid() quoted  { return quoted(d.openid) }
func (d *answerData) Unionid() quoted { return quoted(d.unionid) }

func (d *answerData) AppKey() (quoted, error) {
	return d.of(func(l *imLogin) string { return l.appKey })
}

func (d *answerData) Account() (quoted, error) {
	return d.of(func(l *imLogin) string { return l.account })
}

func (d *answerData) Token() (quoted, error) {
	return d.of(func(l *imLogin) string { return l.token })
}

func (d *answerData) of(part func(*imLogin) string) (quoted, error) {
	l, err := d.account()
	if err != nil {
		return "", err
	}
	return quoted(part(l)), nil
}

// Format prints nothing, so that {{.}} shows no more than the fields do.
func (answerData) Format(fmt.State, rune) {}

// quoted is a value that a template writes between quotes of its own. However
// it is printed, by whatever verb, it comes out escaped: for JSON, and so that
// it stays a string within a script element of a page too.
type quoted string

func (q quoted) Format(f fmt.State, _ rune) {
	text, err := json.Marshal(string(q)) // escapes <, >, &, U+2028 and U+2029 too
	if err == nil {
		f.Write(text[1 : len(text)-1])
	}
}

// answerCall answers in the app's place. Nothing of the request has a say in
// whose account it is; its body is not even read: the server drops up to 256
// KiB of it and closes the connection on more.
func (s *Server) answerCall(v *visit, a *calledAnswer) {
	l, err := s.session(v)
	if err != nil {
		s.fail(v, storeUnavailable, err)
		return
	}
	if problem := s.admit(v, l, demand{level: levelUser}); problem != nil {
		s.refuse(v, problem)
		return
	}
	if l.snapshot {
		s.refuse(v, snapshotVisitor)
		return
	}
	var missing error
	d := &answerData{user: l.user.ID, name: s.displayName(l.user), openid: l.session.OpenID, unionid: l.session.UnionID}
	if l.user.Profile != nil {
		d.avatar = l.user.Profile.Avatar
	}
	var known *imLogin
	d.account = func() (*imLogin, error) {
		if known == nil && missing == nil {
			known, missing = s.imLoginOf(v.r.Context(), l)
		}
		return known, missing
	}
	body, err := execute(a.body, d)
	switch {
	case missing != nil:
		s.fail(v, accountProblem(missing), missing)
		return
	case err != nil:
		s.fail(v, internalError, err)
		return
	case !json.Valid(body):
		s.fail(v, internalError, errors.New("the template of this answer gives no valid JSON for this user"))
		return
	}
	v.outcome = outcomeOwn
	s.allowOrigin(v)
	h := v.Header()
	noStore(h)
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	v.write(http.StatusOK, body)
}

// imLoginOf is what a session's user logs in to Yunxin with.
func (s *Server) imLoginOf(ctx context.Context, l *live) (*imLogin, error) {
	if s.im.cfg == nil {
		return nil, errors.New("there is no Yunxin configured to have accounts at")
	}
	u, err := s.imReady(ctx, l.user)
	if err != nil {
		return nil, err
	}
	return &imLogin{appKey: s.im.cfg.Client.AppKey(), account: u.Yunxin.Accid, token: s.im.tokenFor(u)}, nil
}

var (
	errStillMade = errors.New("the IM account is still being made")
	errNoToken   = errors.New("the IM account has no token")
)

// accountProblem tells a missing account from a store that cannot say.
func accountProblem(err error) *problem {
	if byYunxin(err) || errors.Is(err, errStillMade) || errors.Is(err, errNoToken) || errors.Is(err, errNotActive) {
		return accountUnavailable
	}
	return storeUnavailable
}

// imReady returns the user once the account at Yunxin is there, waiting for it
// no longer than a page's question may take.
func (s *Server) imReady(ctx context.Context, u *identity.User) (*identity.User, error) {
	if s.im.tokenFor(u) != "" {
		return u, nil
	}
	patient, cancel := context.WithTimeout(ctx, imPatience)
	defer cancel()
	now, err := s.im.ensure(patient, u.ID)
	switch {
	case err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return nil, errStillMade
	case err != nil:
		return nil, err
	case s.im.tokenFor(now) == "":
		return nil, errNoToken
	}
	s.sessions.staleUser(u.ID)
	return now, nil
}
