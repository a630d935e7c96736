package proxy

import (
	"net/http"
	"strconv"
	"strings"

	qrcode "github.com/skip2/go-qrcode"

	"wxgate/session"
	"wxgate/wechat"
)

// A website app's login shows WeChat's QR code to a PC, either on WeChat's own
// page or in a frame on ours. Both come back to the callback in the top window,
// with the login cookie that was set here; no cookie of the frame has a part in
// it, so it works where cookies of third parties do not.

// qrConnect is what WeChat is asked for a pending login by QR code.
func (s *Server) qrConnect(v *visit, p session.Pending) wechat.QRConnect {
	lang := pageLang(strings.Join(v.r.Header.Values("Accept-Language"), ","))
	return wechat.QRConnect{AppID: p.AppID, RedirectURI: s.callbackURL(v.host, p.Again), State: p.State, English: lang == "en"}
}

// framePage shows WeChat's QR code inside a page of ours. The page goes to
// WeChat's own page by itself when the frame does not load; whatever ends inside
// the frame (a refusal, a cancelled or an expired code), the page around it can
// begin anew.
func (s *Server) framePage(v *visit, p session.Pending) {
	s.page(v, http.StatusOK, pageQRFrame, pageData{
		ActionURL: s.retryURL(v, p),
		FrameURL:  s.cfg.WeChat.QRFrameURL(wechat.QRFrame{QRConnect: s.qrConnect(v, p)}),
		WholeURL:  s.cfg.WeChat.QRConnectURL(s.qrConnect(v, p)),
	})
}

// qrCode is a QR code as an SVG path in a square of Size, one unit a module.
// Width in pixels gives each module the same whole number of them.
type qrCode struct {
	Size, Width int
	Path        string
}

// qrWidth is about how wide a QR code is on a page, in pixels; the narrowest
// phone leaves 280.
const qrWidth = 264

// maxQRText is the longest text that is drawn. Longer ones would fit, but their
// modules are too fine for a screen.
const maxQRText = 600

// newQRCode draws a text (ISO/IEC 18004) with error correction level M; nil if
// it is too long.
func newQRCode(text string) *qrCode {
	if text == "" || len(text) > maxQRText {
		return nil
	}
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return nil // it is too long after all
	}
	rows := code.Bitmap() // with the quiet zone of four modules
	var path strings.Builder
	for y, row := range rows {
		for x := 0; x < len(row); {
			run := x
			for run < len(row) && row[run] {
				run++
			}
			if run > x {
				// A dark run of the row, one module high.
				path.WriteString("M" + strconv.Itoa(x) + " " + strconv.Itoa(y) + "h" + strconv.Itoa(run-x) + "v1h-" + strconv.Itoa(run-x) + "z")
			}
			x = run + 1
		}
	}
	return &qrCode{Size: len(rows), Width: len(rows) * max(2, qrWidth/len(rows)), Path: path.String()}
}
