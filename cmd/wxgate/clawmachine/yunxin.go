package clawmachine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// yunxinAccount is what the page got from the gateway for its NIM SDK.
type yunxinAccount struct {
	AppKey   string `json:"appKey"`
	Account  string `json:"account"`
	Token    string `json:"token"`
	AuthType int    `json:"authType"`
}

// serveYunxinLogin tries at the simulator whether the page's own Yunxin account and
// token would be let in: what the NIM SDK does with a real AppKey.
func (a *App) serveYunxinLogin(w http.ResponseWriter, r *http.Request) {
	c, ok := a.identify(w, r)
	if !ok {
		return
	}
	if a.config.YunxinLoginURL == "" {
		writeError(w, http.StatusNotFound, "not_configured", "there is no simulator to ask")
		return
	}
	var account yunxinAccount
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&account)
	if kind != "application/json" || err != nil || account.Account == "" {
		writeError(w, http.StatusBadRequest, "bad_request", "a Yunxin account as JSON is expected")
		return
	}
	// Not a place to try tokens of other people. An account so fresh that the
	// assertion does not name it yet is the only one that goes unchecked.
	if c.Yunxin.Accid != "" && c.Yunxin.Accid != account.Account {
		writeError(w, http.StatusForbidden, "not_yours", "the account is not the caller's")
		return
	}
	code, err := a.yunxinLogin(r.Context(), account)
	if err != nil {
		a.config.Logger.Warn("asking the Yunxin simulator", "err", err)
		writeError(w, http.StatusBadGateway, "yunxin_unavailable", "the simulator could not be asked")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ok": code == http.StatusOK, "code": code})
}

func (a *App) yunxinLogin(ctx context.Context, account yunxinAccount) (code int, err error) {
	body, err := json.Marshal(account)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.config.YunxinLoginURL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.config.HTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var answer struct {
		Code int `json:"code"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&answer); err != nil || answer.Code == 0 {
		return 0, fmt.Errorf("status %d without a code", res.StatusCode)
	}
	return answer.Code, nil
}
