package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"wxgate/wechat"
)

// maxMenuBody bounds a menu, in bytes. WeChat's limits are far below.
const maxMenuBody = 64 << 10

// showMenu answers the service account's custom menu (自定义菜单) as JSON, one
// that can be sent back.
func (s *Server) showMenu(c *apiCall) error {
	if s.cfg.MP.ID == "" {
		return errNoMP
	}
	menu, err := s.tokens.Menu(c.r.Context(), s.cfg.MP)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, menu)
}

// setMenu replaces it. What WeChat would refuse is told here, all of it and
// each with its place, and nothing is sent. No buttons take the menu away.
func (s *Server) setMenu(c *apiCall) error {
	if s.cfg.MP.ID == "" {
		return errNoMP
	}
	text, err := io.ReadAll(http.MaxBytesReader(c, c.r.Body, maxMenuBody))
	if err != nil {
		return refused(badRequest, "The menu cannot be read: %s.", describeJSON(err))
	}
	menu, err := wechat.ParseMenu(text)
	if faults, ok := errors.AsType[*wechat.MenuError](err); ok {
		return refused(badRequest, "The menu was not sent: %s.", strings.TrimPrefix(faults.Error(), "wechat: menu: "))
	}
	if err != nil {
		return err
	}
	if err := s.tokens.SetMenu(c.r.Context(), s.cfg.MP, menu); err != nil {
		return err
	}
	return c.json(http.StatusOK, menu)
}

var errNoMP = refused(notFound, "There is no service account here; give WXGATE_MP_APP_ID.")
