package yunxin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// api is one generation of the server API: how its calls are written. Replies
// differ so little that one decoder reads both.
type api interface {
	create(Account) call
	setToken(accid, token string) call
	updateProfile(accid, name, avatar string) call
	block(accid string) call
	unblock(accid string) call

	// kick ends an account's connections, with its token replaced unless token
	// is empty. Where ok is false, the generation has no such call.
	kick(accid, token string) (q call, ok bool)
}

// call is one request, ready to be signed and sent, several times if need be.
type call struct {
	api         string // one of the api… names
	method      string
	path        string // below the base address
	contentType string
	body        []byte
	secret      string // the token in body, to be kept out of errors
}

// reply is the envelope of both generations: {"code","desc","info"} in v1,
// {"code","msg","data"} in v2. Order varies and unknown members come and go.
type reply struct {
	code int
	text string          // desc or msg; on success of no meaning ("success", "success.")
	data json.RawMessage // info or data, if any
}

var errNoCode = errors.New("reply has no code")

// decodeReply reads a reply body. An error means that this is no reply of
// Yunxin's at all.
func decodeReply(body []byte) (reply, error) {
	var raw struct {
		Code json.RawMessage `json:"code"`
		Desc json.RawMessage `json:"desc"`
		Msg  json.RawMessage `json:"msg"`
		Info json.RawMessage `json:"info"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return reply{}, fmt.Errorf("reply is not the JSON expected: %w", err)
	}
	code, err := strconv.Atoi(strings.Trim(string(raw.Code), `"`))
	if err != nil {
		return reply{}, errNoCode
	}
	r := reply{code: code, text: jsonText(raw.Desc), data: raw.Info}
	if r.text == "" {
		r.text = jsonText(raw.Msg)
	}
	if len(r.data) == 0 {
		r.data = raw.Data
	}
	return r, nil
}

// accid returns the account id that a reply names, or "". The documentation of
// v1 calls info a string although its sample is an object; both are read.
func (r reply) accid() string {
	data := []byte(r.data)
	if s := jsonText(r.data); s != "" {
		data = []byte(s)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return ""
	}
	return cmp.Or(jsonText(members["accid"]), jsonText(members["account_id"]))
}

// failedKick returns what a kick says of a connection that it could not end. The
// documents show failed_list as an object, the vendor's own client reads a list.
func (r reply) failedKick() (code int, text string, ok bool) {
	type failure struct {
		Device string `json:"device_id"`
		Code   int    `json:"error_code"`
		Text   string `json:"error_msg"`
	}
	var data struct {
		Failed json.RawMessage `json:"failed_list"`
	}
	json.Unmarshal(r.data, &data)
	list := make([]failure, 1)
	if json.Unmarshal(data.Failed, &list[0]) != nil && json.Unmarshal(data.Failed, &list) != nil {
		return 0, "", false
	}
	for _, f := range list {
		if f != (failure{}) {
			return f.Code, f.Text, true
		}
	}
	return 0, "", false
}

// jsonText returns a JSON string's value, and "" for anything else: a text of
// the wrong type must not hide the code beside it.
func jsonText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
