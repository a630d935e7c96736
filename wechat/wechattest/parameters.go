package wechattest

import (
	"net/url"
	"slices"
	"strings"
)

// parameters reads a raw query, keeping the order. Doubled names are refused:
// nobody knows which of the two WeChat takes.
func parameters(raw string) (values map[string]string, names []string, bad *refusal) {
	values = map[string]string{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		value, err := url.QueryUnescape(value)
		if err != nil {
			return nil, nil, &refusal{0, "该链接无法访问", "parameter " + name + " is not percent-encoded"}
		}
		if slices.Contains(names, name) {
			return nil, nil, &refusal{0, "该链接无法访问", "parameter " + name + " is given twice"}
		}
		names = append(names, name)
		values[name] = value
	}
	return values, names, nil
}

// order wants the documented parameters first, and then only known ones. An
// unknown one is most often the rest of a redirect_uri that was not encoded.
func order(names, documented, known []string) *refusal {
	if len(names) < len(documented) || !slices.Equal(names[:len(documented)], documented) {
		return &refusal{0, "该链接无法访问", "parameters must come in this order: " + strings.Join(documented, ", ")}
	}
	for _, name := range names[len(documented):] {
		if !slices.Contains(known, name) {
			return &refusal{0, "该链接无法访问", "unknown parameter " + name + "; was redirect_uri percent-encoded?"}
		}
	}
	return nil
}
