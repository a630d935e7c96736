package wechat

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Check tells what WeChat would refuse in the menu: all of it, in a [*MenuError].
func (m Menu) Check() error {
	var f menuFaults
	m.check(&f)
	return f.error()
}

func (m Menu) check(f *menuFaults) {
	if n := len(m.Buttons); n > maxTopButtons {
		f.add("button", "%d buttons, WeChat takes %d", n, maxTopButtons)
	}
	for i, b := range m.Buttons {
		at := fmt.Sprintf("button[%d]", i)
		b.check(at, maxTopName, f)
		if n := len(b.SubButtons); n > maxSubButtons {
			f.add(at+".sub_button", "%d buttons, WeChat takes %d", n, maxSubButtons)
		}
		for j, sub := range b.SubButtons {
			at := fmt.Sprintf("%s.sub_button[%d]", at, j)
			sub.check(at, maxSubName, f)
			if len(sub.SubButtons) > 0 {
				f.add(at+".sub_button", "a third level")
			}
		}
	}
}

func (b Button) check(at string, maxName int, f *menuFaults) {
	if f.unread[at] {
		return
	}
	f.checkText(at+".name", b.Name, maxName)
	f.checkText(at+".key", b.Key, maxMenuKey)
	f.checkText(at+".url", b.URL, maxMenuURL)
	for _, name := range []string{"media_id", "appid", "pagepath", "article_id"} {
		f.checkText(at+"."+name, *b.texts()[name], maxMenu) // WeChat names no limit
	}
	if strings.TrimSpace(b.Name) == "" {
		f.addUnread(at+".name", "missing or blank")
	}
	if b.URL != "" && !webAddress(b.URL) {
		f.addUnread(at+".url", "not an http or https address")
	}
	needs, known := buttonNeeds[b.Type]
	switch {
	case b.Type == "" && len(b.SubButtons) > 0:
	case b.Type == "":
		f.addUnread(at+".type", "missing, and so is sub_button")
	case len(b.SubButtons) > 0:
		f.add(at, "type and sub_button exclude each other")
	case !known:
		f.add(at+".type", "unknown type %.40q", b.Type)
	}
	for _, name := range needs {
		if *b.texts()[name] == "" {
			f.addUnread(at+"."+name, "missing, a button of type %s needs it", b.Type)
		}
	}
}

func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.ContainsAny(s, " \\")
}

// unprintable finds what would be sent as an escape, or is not text at all.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}

// MenuError says why a menu cannot be WeChat's.
type MenuError struct {
	Faults []MenuFault // at least one, at most 100
	More   int         // how many are left out
}

// MenuFault is one fault. Its texts repeat at most 40 characters of the menu.
type MenuFault struct {
	// Place is where, e.g. "button[1].sub_button[0].url"; empty for the whole.
	Place string
	// Problem is a few words.
	Problem string
}

func (f MenuFault) String() string {
	if f.Place == "" {
		return f.Problem
	}
	return f.Place + ": " + f.Problem
}

func (e *MenuError) Error() string {
	texts := make([]string, 0, len(e.Faults)+1)
	for _, f := range e.Faults {
		texts = append(texts, f.String())
	}
	if e.More > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", e.More))
	}
	return "wechat: menu: " + strings.Join(texts, "; ")
}

const maxMenuFaults = 100

// menuFaults collects faults.
type menuFaults struct {
	MenuError
	// unread are the places whose value was of no use when they were read: they
	// are empty now, and are not reported once more for that.
	unread map[string]bool
}

func (f *menuFaults) add(place, format string, args ...any) {
	if len(f.Faults) == maxMenuFaults {
		f.More++
		return
	}
	f.Faults = append(f.Faults, MenuFault{place, fmt.Sprintf(format, args...)})
}

func (f *menuFaults) addUnread(place, format string, args ...any) {
	if !f.unread[place] {
		f.add(place, format, args...)
	}
}

func (f *menuFaults) checkText(place, s string, limit int) {
	if len(s) > limit {
		f.add(place, "%d bytes, WeChat takes %d", len(s), limit)
	}
	if strings.ContainsFunc(s, unprintable) {
		f.add(place, "contains control characters or broken UTF-8")
	}
}

func (f *menuFaults) error() error {
	if len(f.Faults) == 0 {
		return nil
	}
	return &MenuError{Faults: slices.Clip(f.Faults), More: f.More}
}
