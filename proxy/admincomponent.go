package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wxgate/wechat/component"
)

// The operator's calls about the third-party platform and the accounts that
// authorized it. What WeChat is asked for on the way is asked with the
// platform's token, and its refusals are told with what repairs them.

var (
	errNoComponent = refused(notFound, "There is no third-party platform here; give WXGATE_COMPONENT_APP_ID.")
	errNoSuchOne   = refused(notFound, "This account never authorized the third-party platform; POST /admin/component/links makes an invitation.")
)

// ofPlatform serves a call that needs the third-party platform.
func (s *Server) ofPlatform(serve func(*apiCall, *component.Platform) error) func(*apiCall) error {
	return func(c *apiCall) error {
		if s.cfg.Component == nil {
			return errNoComponent
		}
		return serve(c, s.cfg.Component)
	}
}

func (s *Server) showPlatform(c *apiCall, p *component.Platform) error {
	o, err := p.Overview(c.r.Context())
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, o)
}

// listAuthorizers sends all accounts in the order of their appids. There may be
// many, so each is sent when it was read. A list that fails on the way is cut off,
// and is no JSON then.
func (s *Server) listAuthorizers(c *apiCall, p *component.Platform) error {
	begin := `{"authorizers":[`
	c.Header().Set("Content-Type", "application/json; charset=utf-8")
	err := p.Authorizers(c.r.Context(), func(a component.Authorizer) error {
		text, err := json.Marshal(a)
		if err != nil {
			return err
		}
		c.send(begin + string(text))
		begin = ","
		return nil
	})
	if err != nil {
		return err
	}
	c.send(strings.TrimSuffix(begin, ",") + "]}\n")
	return nil
}

// send writes a part of an answer.
func (c *apiCall) send(part string) {
	if _, err := io.WriteString(c, part); err != nil {
		panic(http.ErrAbortHandler) // nobody is there any more
	}
}

// findAuthorizer looks an account up by what a caller wrote, which is not always
// fit to be part of a key.
func findAuthorizer(ctx context.Context, p *component.Platform, appID string) (component.Authorizer, bool, error) {
	if !component.ValidAppID(appID) {
		return component.Authorizer{}, false, nil
	}
	return p.Authorizer(ctx, appID)
}

func (s *Server) showAuthorizer(c *apiCall, p *component.Platform) error {
	a, found, err := findAuthorizer(c.r.Context(), p, c.r.PathValue("appid"))
	switch {
	case err != nil:
		return err
	case !found:
		return errNoSuchOne
	}
	return c.json(http.StatusOK, a)
}

// authTypes are what a customer may be offered, by WeChat's numbers; 7 is none.
var authTypes = []int{1, 2, 3, 4, 5, 6, 8}

// allAccounts offers official accounts and mini programs.
const allAccounts = 3

// makeLink invites one customer. Whoever has the link may open it, once.
func (s *Server) makeLink(c *apiCall, p *component.Platform) error {
	var q struct {
		AuthType *int   `json:"auth_type"`
		BizAppID string `json:"biz_appid"`
		Mobile   bool   `json:"mobile"`
	}
	if err := c.body(maxOrder, &q); err != nil {
		return err
	}
	authType := allAccounts
	if q.AuthType != nil {
		authType = *q.AuthType
	}
	switch {
	case !slices.Contains(authTypes, authType):
		return refused(badRequest, "The member \"auth_type\" is 1 (official accounts), 2 (mini programs), 3 (both), 4, 5, 6 or 8.")
	case strings.HasPrefix(q.BizAppID, "gh_"):
		return refused(badRequest, "The member \"biz_appid\" is an AppID (wx and 16 hexadecimal digits), not an original id (gh_…).")
	case q.BizAppID != "" && !component.ValidAppID(q.BizAppID):
		return refused(badRequest, "The member \"biz_appid\" is not an AppID.")
	}
	// A link is worth nothing before WeChat's first word, but is good for long enough to outlive the wait.
	o, err := p.Overview(c.r.Context())
	if err != nil {
		return err
	}
	token, made, err := p.NewLink(c.r.Context(), component.Link{AuthType: authType, BizAppID: q.BizAppID, Mobile: q.Mobile})
	if err != nil {
		return err
	}
	query := "auth_type=" + strconv.Itoa(authType)
	if q.BizAppID != "" {
		query += "&biz_appid=" + url.QueryEscape(q.BizAppID)
	}
	s.log.Info("by the operator: a link to authorize the third-party platform made", "id", c.id, "auth_type", authType, "biz_appid", q.BizAppID)
	return c.json(http.StatusOK, struct {
		URL       string    `json:"url"`
		ExpiresAt time.Time `json:"expires_at"`
		Ready     bool      `json:"ready"`
	}{s.hosts.origin(s.hosts.public) + prefix + "component/authorize?" + query + "&token=" + url.QueryEscape(token), made.Expires.UTC().Truncate(time.Second), o.Ticket.Valid})
}

func (s *Server) syncAuthorizers(c *apiCall, p *component.Platform) error {
	report, err := p.Sync(c.r.Context())
	if err != nil {
		return err
	}
	s.log.Info("by the operator: accounts compared with WeChat's list", "id", c.id)
	return c.json(http.StatusOK, report)
}
