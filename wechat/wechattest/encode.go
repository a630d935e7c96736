package wechattest

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// encode writes the body. Not with encoding/json, which would repair the
// nicknames that WeChat leaves broken.
func (a answer) encode(b Behaviour) []byte {
	fields := a.fields
	if a.errcode != 0 {
		text := a.detail
		if text == "" {
			text = cmp.Or(messages[a.errcode], componentMessages[a.errcode], "error")
		}
		if b.Hints {
			text += " hints: [ req_id: " + random(14) + " ]"
		} else {
			id := identifier(random(16))
			text += fmt.Sprintf(", rid: %.8x-%.8x-%.8x", id[1:5], id[5:9], id[9:13])
		}
		fields = []field{{"errcode", a.errcode}, {"errmsg", text}}
	}
	if b.ErrcodeText && len(fields) > 0 && fields[0].name == "errcode" {
		fields = append(object{{"errcode", strconv.Itoa(a.errcode)}}, fields[1:]...)
	}
	return appendValue(nil, object(fields))
}

func appendValue(out []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return quote(out, v)
	case int:
		return strconv.AppendInt(out, int64(v), 10)
	case object:
		out = append(out, '{')
		for i, f := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendValue(append(quote(out, f.name), ':'), f.value)
		}
		return append(out, '}')
	case []string:
		items := list{}
		for _, item := range v {
			items = append(items, item)
		}
		return appendValue(out, items)
	case list:
		out = append(out, '[')
		for i, item := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendValue(out, item)
		}
		return append(out, ']')
	}
	panic(fmt.Sprintf("wechattest: an answer with a %T", value))
}

var quoter = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `/`, `\/`)

func quote(out []byte, s string) []byte {
	return append(append(append(out, '"'), quoter.Replace(s)...), '"')
}
