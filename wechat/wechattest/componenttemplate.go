package wechattest

import (
	"slices"
	"strconv"
	"time"
)

const maxTemplates = 200

// Draft is code of a mini program that a developer uploaded to the platform.
type Draft struct {
	ID          int // given by AddDraft
	At          time.Time
	Version     string // default "1.0.0"
	Description string
	AppID       string // of the development mini program
	Program     string // its name
	Developer   string
}

// Template is a draft that the platform took into its library.
type Template struct {
	ID    int
	Draft Draft
	Type  int // 0 ordinary, 1 standard
	At    time.Time
}

// AddDraft adds a draft as by an upload. It panics if it does not know the
// platform.
func (s *Server) AddDraft(componentID string, d Draft) (draftID int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[componentID]
	if c == nil {
		panic("wechattest: " + noComponent(componentID).Error())
	}
	c.lastID++
	d.ID = c.lastID
	if d.At.IsZero() {
		d.At = s.now()
	}
	if d.Version == "" {
		d.Version = "1.0.0"
	}
	c.drafts = append(c.drafts, d)
	return d.ID
}

func (d Draft) fields(at time.Time) object {
	return object{
		{"create_time", int(at.Unix())}, {"user_version", d.Version}, {"user_desc", d.Description},
		{"draft_id", d.ID}, {"source_miniprogram_appid", d.AppID}, {"source_miniprogram", d.Program},
	}
}

func (c *call) draftList() answer {
	p, a, ok := c.bearer(61014, "access_token")
	if !ok {
		return a
	}
	all := list{}
	for _, d := range p.drafts {
		all = append(all, append(d.fields(d.At), field{"developer", d.Developer}))
	}
	return answer{fields: []field{{"errcode", 0}, {"errmsg", "ok"}, {"draft_list", all}}}
}

// templateList lists all templates, or those of one template_type.
func (c *call) templateList() answer {
	p, a, ok := c.bearer(61014, "access_token")
	if !ok {
		return a
	}
	kind := c.query.Get("template_type")
	all := list{}
	for _, t := range p.templates {
		if kind == "" || kind == strconv.Itoa(t.Type) {
			all = append(all, append(t.Draft.fields(t.At),
				field{"template_id", t.ID}, field{"template_type", t.Type}, field{"category_list", list{}}))
		}
	}
	return answer{fields: []field{{"errcode", 0}, {"errmsg", "ok"}, {"template_list", all}}}
}

// addTemplate takes a draft into the library. A developer's next upload replaces
// a draft, never a template.
func (c *call) addTemplate() answer {
	p, a, ok := c.bearer(61014, "access_token")
	if !ok {
		return a
	}
	var in struct {
		DraftID int `json:"draft_id"`
		Type    int `json:"template_type"`
	}
	if a, ok := c.decode(&in); !ok {
		return a
	}
	i := slices.IndexFunc(p.drafts, func(d Draft) bool { return d.ID == in.DraftID })
	switch {
	case i < 0:
		return refuse(85064)
	case len(p.templates) >= maxTemplates:
		return refuse(85065)
	}
	p.lastID++
	p.templates = append(p.templates, Template{ID: p.lastID, Draft: p.drafts[i], Type: in.Type, At: c.now})
	return done
}

func (c *call) deleteTemplate() answer {
	p, a, ok := c.bearer(61014, "access_token")
	if !ok {
		return a
	}
	var in struct {
		TemplateID int `json:"template_id"`
	}
	if a, ok := c.decode(&in); !ok {
		return a
	}
	i := slices.IndexFunc(p.templates, func(t Template) bool { return t.ID == in.TemplateID })
	if i < 0 {
		return refuse(85064)
	}
	p.templates = slices.Delete(p.templates, i, i+1)
	return done
}
