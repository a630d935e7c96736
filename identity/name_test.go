package identity

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	family := "\U0001f468\u200d\U0001f469\u200d\U0001f467"                              // three people, two joiners: 8 units
	england := "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f" // black flag and tags: 14 units
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "安娜", "安娜"},
		{"inner spaces stay", "An  Na", "An  Na"},
		{"trimmed", " \u3000\u00a0安娜\u2003\n", "安娜"},
		{"much space before", strings.Repeat(" \u200d", 100) + "安娜", "安娜"},
		{"joiner before a full name", "\u200d" + strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{"only space", " \t\u3000", ""},
		{"control characters", "a\x00\x07\x14b\x7f\u0080c", "abc"},
		{"line breaks become spaces", "a\r\nb\u2028c\td", "a  b c d"},
		{"broken UTF-8", "a\xffb\xe5\xae", "ab"},
		{"decoded mojibake", "a\ufffdb", "ab"},
		{"markup is not our business", "<script>alert(1)</script>", "<script>alert(1)</script>"},
		{"bidi override", "abc\u202egpj.exe", "abcgpj.exe"},
		{"bidi isolates and marks", "\u2066\u200fab\u2069\u200e\u061c", "ab"},
		{"zero width space, BOM, soft hyphen, word joiner", "a\u200b\ufeff\u00ad\u2060b", "ab"},
		{"invisible fillers", "\u3164\uffa0\u115f\u034f", ""},
		{"only joiners", "\u200d\u200c\u200d", ""},
		{"joiners at the ends", "\u200da\u200d", "a"},
		{"doubled joiners", "می\u200c\u200cخواهم", "می\u200cخواهم"},
		{"emoji with skin tone and variation selector", "\U0001f44d\U0001f3fd❤\ufe0f", "\U0001f44d\U0001f3fd❤\ufe0f"},
		{"family", family, family},
		{"flag with tags", england, england},
		{"tags without flag", "a\U000e0068\U000e0069", "a"},
		{"private use, as old emoji", "\ue415", "\ue415"},
		{"noncharacters", "a\ufdd0\U0001fffeb", "ab"},
		{"combining marks", "e\u0301\u0323", "e\u0301\u0323"},
		{"tower of marks", "e" + strings.Repeat("\u0301", 500) + "x", "e" + strings.Repeat("\u0301", maxMarks) + "x"},
		{"leading marks", "\u0301\u0302a \u0301b", "a b"},
		{"long", strings.Repeat("安", 3000), strings.Repeat("安", 64)},
		{"long emoji", strings.Repeat("\U0001f600", 40), strings.Repeat("\U0001f600", 32)},
		{"exactly full", strings.Repeat("a", 62) + "\U0001f600", strings.Repeat("a", 62) + "\U0001f600"},
		{"no half pair", strings.Repeat("a", 63) + "\U0001f600", strings.Repeat("a", 63)},
		{"no half family", strings.Repeat("a", 57) + family, strings.Repeat("a", 57)},
		{"no letter without its mark", strings.Repeat("a", 63) + "e\u0301", strings.Repeat("a", 63)},
		{"no emoji without its tone", strings.Repeat("a", 61) + "\U0001f44d\U0001f3fd", strings.Repeat("a", 61)},
		{"no half flag", strings.Repeat("a", 61) + "\U0001f1e8\U0001f1f3", strings.Repeat("a", 61)},
		{"no half tag flag", strings.Repeat("a", 51) + england, strings.Repeat("a", 51)},
		{"flags are pairs", "a" + strings.Repeat("\U0001f1e8\U0001f1f3", 20), "a" + strings.Repeat("\U0001f1e8\U0001f1f3", 15)},
		{"one endless group", "a" + strings.Repeat("\u200d\U0001f469", 50), "a" + strings.Repeat("\u200d\U0001f469", 21)},
		{"space before the cut", strings.Repeat("a", 63) + " b", strings.Repeat("a", 63)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := CleanName(tt.in); got != tt.want {
				t.Errorf("got %+q\nwant %+q", got, tt.want)
			}
		})
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{
		"", "安娜", "a\u202eb", "\U0001f468\u200d\U0001f469", strings.Repeat("e\u0301", 100), "\xff\xfe", " \u200d ", "\U0001f1e8\U0001f1f3",
		"\U0001f3f4\U000e0067", strings.Repeat("\u200d\U0001f469", 80), "<script>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := CleanName(s)
		if !utf8.ValidString(got) || len(utf16.Encode([]rune(got))) > MaxNameUnits || utf8.RuneCountInString(got) > MaxNameUnits {
			t.Fatalf("%+q", got)
		}
		if strings.TrimSpace(got) != got {
			t.Fatalf("space at an end: %+q", got)
		}
		if again := CleanName(got); again != got {
			t.Fatalf("cleaned again: %+q, then %+q", got, again)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Fatalf("%U in %+q", r, got)
			}
		}
	})
}

func TestCleanAvatar(t *testing.T) {
	good := "https://thirdwx.qlogo.cn/mmopen/g3MonUZtNHkdmzicIlibx6iaFqAc56vxLSUfpb6n5WKSYVY0ChQKkiaJSgQ1dZuTOgvLLrhJbERQQ4eMsv84eavHiaiceqxibJxCfHe/46"
	for _, s := range []string{good, "http://wx.qlogo.cn/a?x=1&y=%20#z", "HTTPS://[2001:db8::1]:8443/x'()*", "https://a/" + strings.Repeat("b", MaxAvatarBytes-10)} {
		if got := CleanAvatar(s); got != s {
			t.Errorf("CleanAvatar(%q) = %q", s, got)
		}
	}
	for _, s := range []string{
		"", "x", "/a", "//host/a", "javascript:alert(1)", "data:image/png;base64,AAAA", "ftp://h/a", "https://", "https:///a", "https:a", "https://:80/a",
		"https://user@h/a", "https://u:p@h/", " https://h/a", "https://h/a b", "https://h/a\nb", "https://h/a\x00", "https://h/\x7f", "https://h/é",
		`https://h/"onload=`, "https://h/<b>", `https:\\h\a`, "https://h/%zz", "https://a/" + strings.Repeat("b", MaxAvatarBytes-9),
	} {
		if got := CleanAvatar(s); got != "" {
			t.Errorf("CleanAvatar(%q) = %q, want it dropped", s, got)
		}
	}
}

func TestDefaultName(t *testing.T) {
	tmpl, err := ParseNameTemplate("玩家{{.Digits}}")
	if err != nil {
		t.Fatal(err)
	}
	// Fixed: the same person must have the same name after an upgrade.
	if got := DefaultName(tmpl, "aaaaaaaaaaaaaaaaaaaaaaaaae"); got != "玩家6034" {
		t.Errorf("got %s", got)
	}
	names := map[string]bool{}
	for range 100 {
		names[DefaultName(tmpl, NewID())] = true
	}
	if len(names) < 90 {
		t.Errorf("100 users have only %d names", len(names))
	}
	for _, s := range []string{"x", "{{.Digits}}", "玩家", "{{if eq .Digits `0007`}}agent{{else}}{{.Digits}}{{end}}", strings.Repeat("x", 60) + "{{.Digits}}"} {
		if _, err := ParseNameTemplate(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "  ", "{{", "{{.Name}}", "{{if ne .Digits `0007`}}a{{end}}", "{{if eq .Digits `9999`}}{{.Name}}{{else}}a{{end}}", " a", "a\n", "a\u202eb",
		strings.Repeat("x", 61) + "{{.Digits}}", strings.Repeat("\U0001f600", 33), "{{printf `%9999d` 1}}", "{{range 1000000000}}xxxxxxxxxx{{end}}",
	} {
		if _, err := ParseNameTemplate(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
