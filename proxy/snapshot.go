package proxy

import (
	"net/http"

	"wxgate/session"
)

// A snapshot page is WeChat's answer to a page that it thinks asks too much:
// the visitor may look and scroll, and all ids belong to a virtual account. So
// such a visitor is never a user, has no IM account and no record anywhere; the
// same person coming back with the full service logs in like everybody else.

// snapshot ends the login of a snapshot visitor: with the page that explains
// 使用完整服务, or, where the operator lets visitors read, with a token that
// says "visitor" and nothing more.
func (s *Server) snapshot(v *visit, p session.Pending) {
	if !s.cfg.SnapshotVisitors || s.needsProfile(p.Next) {
		s.page(v, http.StatusOK, pageSnapshotGuide, pageData{ActionURL: s.retryURL(v, p)})
		return
	}
	token, err := s.cfg.Sessions.NewVisitor(p.Channel, p.AppID)
	if err != nil {
		s.fail(v, internalError, err)
		return
	}
	s.cfg.Sessions.SetVisitorCookie(v.Header(), token)
	s.land(v, s.target(v, p))
}
