package proxy

import (
	"net/netip"
	"strings"
)

// named is a word in a User-Agent and what it stands for. Order matters: nearly
// every browser names the ones that it descends from, and every phone's system
// the one of PCs.
type named struct{ token, name string }

var systems = []named{
	{"windows phone", "Windows Phone"}, {"windows nt", "Windows"}, {"openharmony", "HarmonyOS"}, {"android", "Android"},
	{"iphone", "iPhone"}, {"ipad", "iPad"}, {"mac os", "macOS"}, {"macintosh", "macOS"}, {"cros ", "ChromeOS"}, {"linux", "Linux"},
}

var browsers = []named{
	{"wxwork/", "WeCom"}, {"micromessenger/", "WeChat"}, {"qqbrowser/", "QQBrowser"}, {"ucbrowser/", "UCBrowser"},
	{"edg", "Edge"}, {"opr/", "Opera"}, {"firefox/", "Firefox"}, {"chrome/", "Chrome"}, {"safari/", "Safari"},
}

// deviceOf names system and browser of a User-Agent, from closed lists: the text
// is shown to the person who is asked to confirm a login, and its sender may be
// somebody who wants to be confirmed.
func deviceOf(userAgent string) string {
	ua := strings.ToLower(userAgent)
	var parts []string
	for _, list := range [][]named{systems, browsers} {
		for _, n := range list {
			if strings.Contains(ua, n.token) {
				parts = append(parts, n.name)
				break
			}
		}
	}
	return strings.Join(parts, " · ")
}

// coarse is the network that an address belongs to: enough for a person to see
// whether it is their own, and no more than that in a QR code.
func coarse(a netip.Addr) netip.Addr {
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}

// placeOf writes a coarse address for people.
func placeOf(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return ""
	case a.Is4():
		text := a.String()
		return text[:strings.LastIndexByte(text, '.')+1] + "*"
	}
	return strings.TrimSuffix(a.String(), "::") + ":*"
}
