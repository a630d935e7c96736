package proxy

import (
	"net/http"
	"slices"

	"wxgate/wechat/component"
)

// accountOptions are the options of an account with their values:
// https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizeroptioninfo.md
var accountOptions = map[string][]string{
	"location_report":  {"0", "1", "2"}, // off, on entering, every five seconds
	"voice_recognize":  {"0", "1"},
	"customer_service": {"0", "1"},
}

// accountOption is named as WeChat names its parts.
type accountOption struct {
	Name  string `json:"option_name"`
	Value string `json:"option_value"`
}

// whichOption reads the path of a call about an option. The account has to be
// authorized: WeChat would be asked in vain.
func (c *apiCall) whichOption(p *component.Platform) (appID, name string, err error) {
	appID, name = c.r.PathValue("appid"), c.r.PathValue("name")
	if accountOptions[name] == nil {
		return "", "", refused(notFound, "There is no such option; there are customer_service, location_report and voice_recognize.")
	}
	switch a, found, err := findAuthorizer(c.r.Context(), p, appID); {
	case err != nil:
		return "", "", err
	case !found:
		return "", "", errNoSuchOne
	case a.Status == component.StatusUnauthorized:
		return "", "", component.ErrNotAuthorized
	}
	return appID, name, nil
}

func (s *Server) showOption(c *apiCall, p *component.Platform) error {
	appID, name, err := c.whichOption(p)
	if err != nil {
		return err
	}
	o := accountOption{Name: name}
	err = p.WithToken(c.r.Context(), func(token string) (err error) {
		o.Value, err = s.cfg.WeChat.AuthorizerOption(c.r.Context(), token, p.AppID(), appID, name)
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, o)
}

// setOption sets an option. The name may stand in the body too, so that what
// showOption answered can be sent back.
func (s *Server) setOption(c *apiCall, p *component.Platform) error {
	var o accountOption
	if err := c.body(maxOrder, &o); err != nil {
		return err
	}
	appID, name, err := c.whichOption(p)
	if err != nil {
		return err
	}
	switch values := accountOptions[name]; {
	case o.Name != "" && o.Name != name:
		return refused(badRequest, "The member \"option_name\" is another one than in the path.")
	case !slices.Contains(values, o.Value):
		return refused(badRequest, "The member \"option_value\" is a string, of \"0\" to \"%d\".", len(values)-1)
	}
	o.Name = name
	err = p.WithToken(c.r.Context(), func(token string) error {
		return s.cfg.WeChat.SetAuthorizerOption(c.r.Context(), token, p.AppID(), appID, name, o.Value)
	})
	if err != nil {
		return err
	}
	s.log.Info("by the operator: option of an account set", "id", c.id, "appid", appID, "option", name, "value", o.Value)
	return c.json(http.StatusOK, o)
}
