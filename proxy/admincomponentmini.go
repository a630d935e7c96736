package proxy

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"wxgate/wechat"
	"wxgate/wechat/component"
)

// The operator's calls about mini programs that the third-party platform makes for
// its customers: the code templates that they get, and their registration. Lists
// and members have WeChat's names.

// showTemplates answers the template library, all of it or that of one kind.
func (s *Server) showTemplates(c *apiCall, p *component.Platform) error {
	by, err := c.parameters("template_type")
	if err != nil {
		return err
	}
	kind := -1
	if text, given := by["template_type"]; given {
		if kind, err = strconv.Atoi(text); err != nil || !isTemplateKind(kind) {
			return refused(badRequest, "The parameter template_type is 0 (ordinary) or 1 (standard).")
		}
	}
	list := []wechat.Template{}
	err = p.WithToken(c.r.Context(), func(token string) error {
		found, err := s.cfg.WeChat.Templates(c.r.Context(), token, kind)
		list = append(list[:0], found...)
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, struct {
		List []wechat.Template `json:"template_list"`
	}{list})
}

func isTemplateKind(kind int) bool { return kind == 0 || kind == 1 }

// showDrafts answers the drafts that can become templates.
func (s *Server) showDrafts(c *apiCall, p *component.Platform) error {
	list := []wechat.Draft{}
	err := p.WithToken(c.r.Context(), func(token string) error {
		found, err := s.cfg.WeChat.Drafts(c.r.Context(), token)
		list = append(list[:0], found...)
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, struct {
		List []wechat.Draft `json:"draft_list"`
	}{list})
}

// addTemplate makes a draft a template. WeChat does not say which id it gets; the
// list does.
func (s *Server) addTemplate(c *apiCall, p *component.Platform) error {
	var q struct {
		DraftID *int64 `json:"draft_id"` // 0 is an id
		Kind    int    `json:"template_type"`
	}
	if err := c.body(maxOrder, &q); err != nil {
		return err
	}
	switch {
	case q.DraftID == nil || *q.DraftID < 0:
		return refused(badRequest, "The member \"draft_id\" is missing or not an id; GET /admin/component/drafts has them.")
	case !isTemplateKind(q.Kind):
		return refused(badRequest, "The member \"template_type\" is 0 (ordinary) or 1 (standard).")
	}
	err := p.WithToken(c.r.Context(), func(token string) error {
		return s.cfg.WeChat.AddTemplate(c.r.Context(), token, *q.DraftID, q.Kind)
	})
	if err != nil {
		return err
	}
	s.log.Info("by the operator: template added", "id", c.id, "draft_id", *q.DraftID, "template_type", q.Kind)
	return c.done()
}

func (s *Server) deleteTemplate(c *apiCall, p *component.Platform) error {
	id, err := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	if err != nil || id < 0 {
		return refused(notFound, "The id of a template is a number; GET /admin/component/templates has them.")
	}
	err = p.WithToken(c.r.Context(), func(token string) error {
		return s.cfg.WeChat.DeleteTemplate(c.r.Context(), token, id)
	})
	if err != nil {
		return err
	}
	s.log.Info("by the operator: template deleted", "id", c.id, "template_id", id)
	return c.done()
}

const maxCompanyName = 100 // characters

var (
	// creditCode is the form of a unified social credit code (统一社会信用代码, GB 32100).
	creditCode = regexp.MustCompile(`^[0-9A-Z]{18}$`)
	anyPhone   = regexp.MustCompile(`^\+?[0-9][0-9 -]{3,28}[0-9]$`)
)

// registerMini begins the registration of a company's mini program. The company's
// legal person has to open authorize_url within 24 hours; what came of it, WeChat
// pushes.
func (s *Server) registerMini(c *apiCall, p *component.Platform) error {
	var q struct {
		Name  string `json:"name"`
		Code  string `json:"code"`
		Phone string `json:"component_phone"`
	}
	if err := c.body(maxOrder, &q); err != nil {
		return err
	}
	q.Name = strings.TrimSpace(q.Name)
	switch {
	case q.Name == "" || utf8.RuneCountInString(q.Name) > maxCompanyName || strings.ContainsFunc(q.Name, unicode.IsControl):
		return refused(badRequest, "The member \"name\" is the name of the company, as in its business licence.")
	case !creditCode.MatchString(q.Code):
		return refused(badRequest, "The member \"code\" is the company's unified social credit code (统一社会信用代码): 18 digits and capital letters.")
	case !anyPhone.MatchString(q.Phone):
		return refused(badRequest, "The member \"component_phone\" is a telephone number of the third-party platform, for the customer's questions.")
	}
	var task wechat.RegistrationTask
	err := p.WithToken(c.r.Context(), func(token string) (err error) {
		task, err = s.cfg.WeChat.RegisterMiniProgram(c.r.Context(), token, wechat.Registration{Name: q.Name, Code: q.Code, Phone: q.Phone})
		return err
	})
	if err != nil {
		return err
	}
	s.log.Info("by the operator: registration of a mini program begun", "id", c.id, "taskid", task.TaskID)
	return c.json(http.StatusOK, struct {
		TaskID       string `json:"taskid"`
		AuthorizeURL string `json:"authorize_url"`
		Status       int    `json:"status"`
	}{task.TaskID, task.URL, task.Status})
}
