package yunxin

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxName is the limit of a nickname. Yunxin counts "characters" without
// saying which; UTF-16 units, as its Java servers count, is the strictest.
// https://doc.yunxin.163.com/messaging/server-apis/DQ3Nzk1MTY?platform=server
const maxName = 64

// maxAvatar is the limit of an avatar URL in bytes.
const maxAvatar = 1024

// CleanName makes a nickname fit for Yunxin and for other players' screens:
// valid UTF-8 of at most 64 UTF-16 units, on one line, with single spaces, and
// without control characters, invisible ones, and those that turn the
// direction of the text around. Nothing may be left of it.
func CleanName(s string) string {
	var b strings.Builder
	units, space := 0, false
	for i, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = units > 0
			continue
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"), dropped(r):
			continue
		}
		need := utf16.RuneLen(r)
		if space {
			need++
		}
		if units+need > maxName {
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
		units += need
	}
	// A cut between the parts of a joined emoji leaves a joiner that joins nothing.
	return strings.TrimRight(b.String(), "\u200d ")
}

// dropped reports runes that a nickname must not carry. The joiners U+200C and
// U+200D stay: scripts and emoji need them.
func dropped(r rune) bool {
	switch {
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), unicode.Is(unicode.Noncharacter_Code_Point, r):
		return true
	case r == 0x200b, r >= 0x2060 && r <= 0x2064, r == 0xfeff: // zero width
		return true
	}
	return false
}

// cleanAvatar leaves out what cannot be a URL that a browser loads.
func cleanAvatar(s string) string {
	if len(s) > maxAvatar || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return ""
	}
	return s
}
