package wechattest

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// platformView is a third-party platform for the control page. Its JSON has no
// secrets.
type platformView struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	LaunchDomain string         `json:"launch_domain"`
	EventURL     string         `json:"event_url"`
	MessageURL   string         `json:"message_url"`
	Published    bool           `json:"published"`
	TestAccounts []string       `json:"test_accounts"`
	Tickets      int            `json:"tickets"`
	TicketAge    string         `json:"ticket_age,omitempty"`
	Stopped      bool           `json:"stopped"`
	Alarms       int            `json:"alarms"`
	Mints        int            `json:"mints"`
	TokenLeft    string         `json:"token_left,omitempty"`
	PreAuthCodes int            `json:"pre_auth_codes"`
	PreviousKey  bool           `json:"previous_key"`
	Accounts     []accountView  `json:"accounts"`
	Pushes       []line         `json:"pushes"` // newest first
	Report       *ReleaseReport `json:"release,omitempty"`
	Players      []Player       `json:"-"`
}

// accountView is an account that authorized it.
type accountView struct {
	AppID     string    `json:"appid"`
	UserName  string    `json:"user_name"`
	Name      string    `json:"name"`
	Kind      AppKind   `json:"kind"`
	Functions []int     `json:"functions"`
	At        time.Time `json:"at"`
	Exchanged bool      `json:"exchanged"`
	Mints     int       `json:"mints"`
	TokenLeft string    `json:"token_left,omitempty"`
	Waiting   bool      `json:"waiting"` // its push waits for a button
	Pushes    int       `json:"pushes"`  // of the newest grant
	Sets      []setView `json:"-"`
	Written   *written  `json:"-"`
}

type setView struct {
	PermissionSet
	On bool
}

const shownPushes = 40

// platformViews are all platforms as they are now.
func (s *Server) platformViews() []platformView {
	s.mu.Lock()
	defer s.mu.Unlock()
	views := []platformView{}
	for _, id := range s.componentOrder {
		c := s.components[id]
		v := platformView{
			ID: id, Name: c.Name, LaunchDomain: c.LaunchDomain, EventURL: c.EventURL, MessageURL: c.MessageURL,
			Published: c.Published, TestAccounts: c.TestAccounts, Tickets: len(c.tickets), Stopped: c.stopped,
			Alarms: c.alarms, Mints: c.mints, TokenLeft: s.left(c.current), PreviousKey: c.PreviousAESKey != "",
			Accounts: []accountView{}, Pushes: s.pushesOf(c), Players: s.everybody(),
		}
		if n := len(c.tickets); n > 0 {
			v.TicketAge = s.now().Sub(c.tickets[n-1].At).Truncate(time.Second).String()
		}
		for _, p := range c.preAuth {
			if !p.used && s.now().Before(p.expires) {
				v.PreAuthCodes++
			}
		}
		for _, a := range c.accounts {
			v.Accounts = append(v.Accounts, s.accountView(id, a))
		}
		if report, found := s.desk.reports[id]; found {
			v.Report = &report
		}
		views = append(views, v)
	}
	return views
}

func (s *Server) accountView(componentID string, a *authorization) accountView {
	app := s.apps[a.appid]
	v := accountView{
		AppID: a.appid, UserName: app.UserName, Name: app.Name, Kind: app.Kind, Functions: slices.Clone(a.functions),
		At: a.at, Exchanged: a.exchanged, Mints: a.mints, TokenLeft: s.left(a.current),
	}
	if g := s.desk.grants[[2]string{componentID, a.appid}]; g != nil && g.Code == s.components[componentID].newestCode(a, g.Code) {
		v.Waiting, v.Pushes = g.Waiting, g.Pushes
	}
	if w, found := s.desk.written[[2]string{componentID, a.appid}]; found {
		v.Written = &w
	}
	for _, set := range setsFor(app.Kind, nil) {
		v.Sets = append(v.Sets, setView{set, slices.Contains(a.functions, set.ID)})
	}
	return v
}

// left is how long a token is still good for, "" for none.
func (s *Server) left(t *serverToken) string {
	if t == nil {
		return ""
	}
	end := t.expires
	if !t.void.IsZero() && t.void.Before(end) {
		end = t.void
	}
	if left := end.Sub(s.now()); left > 0 {
		return left.Truncate(time.Second).String()
	}
	return "过期 expired"
}

// newestCode is the code of what the account granted last; of several at the same
// time the known one.
func (c *component) newestCode(a *authorization, known string) (code string) {
	var at time.Time
	if one := c.codes[known]; one != nil && one.authorization == a {
		code, at = known, one.at
	}
	for text, one := range c.codes {
		if one.authorization == a && (code == "" || one.at.After(at)) {
			code, at = text, one.at
		}
	}
	return code
}

// pushesOf finds a platform's pushes in the journal.
func (s *Server) pushesOf(c *component) []line {
	path := func(link string) string {
		u, err := url.Parse(link)
		if err != nil {
			return ""
		}
		return u.Path
	}
	events := path(c.EventURL)
	lines := []line{}
	for _, e := range slices.Backward(s.journal) {
		event := e.AppID == c.ID && e.Path == events
		message := c.MessageURL != "" && e.Path == path(strings.ReplaceAll(c.MessageURL, "$APPID$", e.AppID))
		if e.Header == nil && (event || message) {
			lines = append(lines, lineOf(e))
		}
		if len(lines) == shownPushes {
			break
		}
	}
	return lines
}
