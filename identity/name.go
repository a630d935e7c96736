package identity

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxNameUnits is the longest name in UTF-16 code units. Yunxin allows 64 characters and does not say how it counts; this
	// unit, which is also JavaScript's, gives the smallest number of characters of all the plausible ones.
	MaxNameUnits = 64
	// MaxAvatarBytes is the longest avatar URL. Yunxin's limit; WeChat's are far shorter.
	MaxAvatarBytes = 1024
	// maxMarks is how many combining marks may follow one another. No living script needs more; towers of them cover other
	// people's lines.
	maxMarks = 4
)

const (
	zwnj      = '\u200c'
	zwj       = '\u200d'
	blackFlag = '\U0001f3f4'
)

// CleanName makes a nickname fit for display. WeChat's nicknames are chosen by strangers and have been seen with control characters and
// broken encodings. The result is valid UTF-8 without control characters, line breaks, bidirectional overrides, invisible or
// format characters and towers of combining marks; it has no white space at its ends and at most [MaxNameUnits] UTF-16 units, so
// at most as many runes. What holds emoji and scripts together (joiners, variation selectors, flag sequences) stays, and a cut
// does not go through the middle of such a group. Markup like <script> stays too: escaping belongs to whoever writes the page. The
// result may be empty. Cleaning a clean name changes nothing.
func CleanName(s string) string {
	out := make([]rune, 0, MaxNameUnits)
	units, marks, end := 0, 0, 0 // end: length of out up to the last place where a cut is good
	for _, r := range s {
		var last rune // the rune before, 0 at the start
		if len(out) > 0 {
			last = out[len(out)-1]
		}
		r = keep(r, last)
		if r < 0 {
			continue
		}
		if unicode.Is(unicode.M, r) && !unicode.Is(unicode.Variation_Selector, r) {
			if marks++; marks > maxMarks {
				continue
			}
		} else {
			marks = 0
		}
		if !continues(r, out) {
			end = len(out)
		}
		out = append(out, r)
		if units += utf16.RuneLen(r); units > MaxNameUnits {
			if end == 0 {
				end = len(out) - 1 // one monstrous group; better half of it than nothing
			}
			out = out[:end]
			break
		}
	}
	return strings.TrimRightFunc(string(out), func(r rune) bool { return unicode.IsSpace(r) || r == zwj || r == zwnj })
}

// keep returns the rune to write for r after last: itself, a space for other white space that breaks lines, or -1 for nothing.
func keep(r, last rune) rune {
	switch {
	case r == utf8.RuneError: // what broken encoding is decoded to, here or already in the JSON
		return -1
	case r == zwj || r == zwnj:
		// Needed inside a word or an emoji; leading or doubled ones are invisible padding.
		if last == 0 || last == zwj || last == zwnj || unicode.IsSpace(last) {
			return -1
		}
		return r
	case r >= 0xe0020 && r <= 0xe007f:
		// Tag characters spell the region of a flag. Elsewhere they are invisible text.
		if last == blackFlag || last >= 0xe0020 && last <= 0xe007f {
			return r
		}
		return -1
	case unicode.IsSpace(r) && last == 0:
		return -1
	case r == '\t', r == '\n', r == '\v', r == '\f', r == '\r', r == '\u0085', r == '\u2028', r == '\u2029':
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Noncharacter_Code_Point):
		return -1
	case unicode.Is(unicode.M, r) && (last == 0 || unicode.IsSpace(last)):
		return -1 // nothing to combine with; it would sit on whatever the page shows before the name
	}
	return r
}

// continues tells whether r belongs to the group that prev ends with: a coarse form of Unicode's grapheme clusters (UAX #29), enough
// to cut names without leaving half an emoji.
func continues(r rune, prev []rune) bool {
	if len(prev) == 0 {
		return false
	}
	last := prev[len(prev)-1]
	switch {
	case r == zwj, r == zwnj, last == zwj:
		return true
	case unicode.Is(unicode.M, r): // combining marks and variation selectors
		return true
	case r >= 0x1f3fb && r <= 0x1f3ff: // skin tones
		return true
	case r >= 0xe0020 && r <= 0xe007f:
		return true
	case unicode.Is(unicode.Regional_Indicator, r):
		n := 0
		for n < len(prev) && unicode.Is(unicode.Regional_Indicator, prev[len(prev)-1-n]) {
			n++
		}
		return n%2 == 1 // the second of a pair, which makes a flag
	}
	return false
}

// CleanAvatar returns the URL if a page can use it as a picture's address, else "": absolute, http or https, with a host and without
// user name, at most [MaxAvatarBytes] bytes, all of them visible ASCII that RFC 3986 allows. wxgate never fetches it.
func CleanAvatar(s string) string {
	if len(s) > MaxAvatarBytes || !visibleASCII(s) || strings.ContainsAny(s, "\"<>\\^`{|}") {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return ""
	}
	return s
}
