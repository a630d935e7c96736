package wechat_test

import (
	"strings"
	"testing"

	"wxgate/wechat"
)

func TestDetect(t *testing.T) {
	const android = "Mozilla/5.0 (Linux; Android 10; M2007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/111.0.5563.116 Mobile Safari/537.36 XWEB/1110005 MMWEBSDK/20230805 MMWEBID/1234 MicroMessenger/8.0.42.2460(0x28002A58) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64"
	tests := []struct {
		name, ua string
		want     wechat.Browser
	}{
		{"iOS", "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f) NetType/WIFI Language/zh_CN", wechat.Browser{InWeChat: true, Mobile: true}},
		{"iPad", "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f)", wechat.Browser{InWeChat: true, Mobile: true}},
		{"Android", android, wechat.Browser{InWeChat: true, Mobile: true}},
		{"Android, old X5", "Mozilla/5.0 (Linux; U; Android 6.0) MQQBrowser/6.2 TBS/043115 Safari/537.36 MicroMessenger/6.5.6.1020", wechat.Browser{InWeChat: true, Mobile: true}},
		{"HarmonyOS", "Mozilla/5.0 (Phone; OpenHarmony 5.1) ArkWeb/4.1.6.1 Mobile MicroMessenger/8.0.9.39(0xf3100927) Weixin NetType/WIFI", wechat.Browser{InWeChat: true, Mobile: true}},
		{"Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) NetType/WIFI MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x6309092b) XWEB/9105 Flue", wechat.Browser{InWeChat: true}},
		{"macOS old", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) MicroMessenger/6.8.0(0x16080000) MacWechat/3.0.1(0x13000110) NetType/WIFI WindowsWechat", wechat.Browser{InWeChat: true}},
		{"macOS 4", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) MicroMessenger/7.0.20.1781(0x6700143B) MacWechat/3.8.7(0x13080712) UnifiedPCMacWechat(0xf2641b50) XWEB/14978", wechat.Browser{InWeChat: true}},
		{"Linux", "Mozilla/5.0 (X11; Linux x86_64) MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x63090a13) UnifiedPCLinuxWechat(0xf2741107) XWEB/14978", wechat.Browser{InWeChat: true}},
		{"mini program", android + " miniProgram/wx0123456789abcdef", wechat.Browser{InWeChat: true, MiniProgram: true, Mobile: true}},
		{"mini program, desktop", "Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0.20.1781(0x6700143B) MiniProgramEnv/Windows WindowsWechat/WMPF", wechat.Browser{InWeChat: true, MiniProgram: true}},
		{"WeCom mobile", "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) Mobile/15E148 wxwork/4.1.39 MicroMessenger/7.0.1 Language/zh", wechat.Browser{WeCom: true, Mobile: true}},
		{"WeCom Windows", "Mozilla/5.0 (Windows NT 10.0; WOW64) wxwork/4.1.39 (MicroMessenger/6.2) WindowsWechat", wechat.Browser{WeCom: true}},
		{"case does not matter", strings.ToUpper(android), wechat.Browser{InWeChat: true, Mobile: true}},
		{"mobile browser", "Mozilla/5.0 (Linux; Android 14) Chrome/122.0.0.0 Mobile Safari/537.36", wechat.Browser{Mobile: true}},
		{"desktop browser", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/122.0.0.0 Safari/537.36", wechat.Browser{}},
		{"none", "", wechat.Browser{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := wechat.Detect(tt.ua); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
