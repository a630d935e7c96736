package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
)

const (
	apiTemplates      = "wxa/gettemplatelist"
	apiDrafts         = "wxa/gettemplatedraftlist"
	apiAddTemplate    = "wxa/addtotemplate"
	apiDeleteTemplate = "wxa/deletetemplate"
)

// Draft is code that a development mini program of the third-party platform
// uploaded. Its next upload overwrites it.
type Draft struct {
	ID          int64  `json:"draft_id"`
	CreateTime  int64  `json:"create_time"` // seconds since 1970
	Version     string `json:"user_version"`
	Description string `json:"user_desc"`
	SourceAppID string `json:"source_miniprogram_appid"`
	SourceName  string `json:"source_miniprogram"`
	Developer   string `json:"developer,omitempty"`
}

// Template is code that can be uploaded to the mini programs of authorized
// accounts. It is never overwritten.
type Template struct {
	ID          int64  `json:"template_id"`
	DraftID     int64  `json:"draft_id"`    // of which it was made
	CreateTime  int64  `json:"create_time"` // seconds since 1970
	Version     string `json:"user_version"`
	Description string `json:"user_desc"`
	SourceAppID string `json:"source_miniprogram_appid"`
	SourceName  string `json:"source_miniprogram"`
	Developer   string `json:"developer,omitempty"`
	Kind        int    `json:"template_type"` // 0 ordinary, 1 standard
	// Categories, and what the audit of a standard template says, are as WeChat
	// wrote them.
	Categories  json.RawMessage `json:"category_list,omitempty"`
	AuditScene  json.RawMessage `json:"audit_scene,omitempty"`
	AuditStatus json.RawMessage `json:"audit_status,omitempty"`
	Reason      string          `json:"reason,omitempty"`
}

// Templates returns the template library of a third-party platform, at most 200.
// kind is 0 for ordinary ones, 1 for standard ones, negative for all. GET
// /wxa/gettemplatelist, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/thirdparty-management/template-management/api_gettemplatelist
//
// token is the component_access_token, here as in the calls below.
func (c *Client) Templates(ctx context.Context, token string, kind int) ([]Template, error) {
	req := componentCall(apiTemplates, token, nil)
	if kind >= 0 {
		req.query.Set("template_type", strconv.Itoa(kind))
	}
	var list []Template
	err := c.call(ctx, req, func(r reply) error {
		entries, err := r.objects("template_list")
		for _, entry := range entries {
			id, ok := entry.number("template_id")
			if !ok {
				return errors.New("answer with a template without template_id")
			}
			t := Template{
				ID:          id,
				Version:     printable(entry.text("user_version")),
				Description: printable(entry.text("user_desc")),
				SourceAppID: printable(entry.text("source_miniprogram_appid")),
				SourceName:  printable(entry.text("source_miniprogram")),
				Developer:   printable(entry.text("developer")),
				Kind:        max(entry.small("template_type"), 0),
				Categories:  entry["category_list"],
				AuditScene:  entry["audit_scene"],
				AuditStatus: entry["audit_status"],
				Reason:      printable(entry.text("reason")),
			}
			t.DraftID, _ = entry.number("draft_id")
			t.CreateTime, _ = entry.number("create_time")
			list = append(list, t)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Drafts returns the drafts of which templates can be made. GET
// /wxa/gettemplatedraftlist, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/code_template/gettemplatedraftlist.html
func (c *Client) Drafts(ctx context.Context, token string) ([]Draft, error) {
	var list []Draft
	err := c.call(ctx, componentCall(apiDrafts, token, nil), func(r reply) error {
		entries, err := r.objects("draft_list")
		for _, entry := range entries {
			id, ok := entry.number("draft_id")
			if !ok {
				return errors.New("answer with a draft without draft_id")
			}
			d := Draft{
				ID:          id,
				Version:     printable(entry.text("user_version")),
				Description: printable(entry.text("user_desc")),
				SourceAppID: printable(entry.text("source_miniprogram_appid")),
				SourceName:  printable(entry.text("source_miniprogram")),
				Developer:   printable(entry.text("developer")),
			}
			d.CreateTime, _ = entry.number("create_time")
			list = append(list, d)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// AddTemplate makes a template of a draft; kind is as in Templates, negative
// leaves it to WeChat. POST /wxa/addtotemplate, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/thirdparty-management/template-management/api_addtotemplate
//
// A full library is refused with 85065.
func (c *Client) AddTemplate(ctx context.Context, token string, draftID int64, kind int) error {
	body := map[string]any{"draft_id": draftID}
	if kind >= 0 {
		body["template_type"] = kind
	}
	return c.call(ctx, componentCall(apiAddTemplate, token, body), reply.success)
}

// DeleteTemplate takes a template out of the library. POST /wxa/deletetemplate,
// WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/code_template/deletetemplate.html
//
// A template that is not there is refused with 85064.
func (c *Client) DeleteTemplate(ctx context.Context, token string, templateID int64) error {
	return c.call(ctx, componentCall(apiDeleteTemplate, token, map[string]any{"template_id": templateID}), reply.success)
}
