package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	platformID = "wxc0ffee0123456789"
	shopID     = "wx1a2b3c4d5e6f7081"
	// Both are official examples, and in both the last character has bits that do not count.
	aesKeyA = "Q7mZk2Vt9xLrB4nYhW6cJp8sDf1gTa5uEi3oKwXyRv8"
	aesKeyB = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// platform is a sound third-party platform beside, or instead of, the account of minimal.
func platform(more ...string) map[string]string {
	vars := minimal("ADMIN_TOKEN", keyB, "COMPONENT_APP_ID", platformID, "COMPONENT_APP_SECRET", "s",
		"COMPONENT_TOKEN", "tokenOfThePlatform", "COMPONENT_AES_KEY", aesKeyA)
	for i := 0; i < len(more); i += 2 {
		vars["WXGATE_"+more[i]] = more[i+1]
	}
	return vars
}

func TestComponentAccepted(t *testing.T) {
	tests := []struct {
		name string
		vars []string
		want string // a line of the print-out, without WXGATE_
	}{
		{"no hosts yet", nil, "COMPONENT_APP_ID=" + platformID},
		{"another previous key", []string{"COMPONENT_AES_KEY_PREVIOUS", aesKeyB}, "COMPONENT_AES_KEY_PREVIOUS=***"},
		{"previous key that begins alike", []string{"COMPONENT_AES_KEY_PREVIOUS", aesKeyA[:42] + "A"}, "COMPONENT_AES_KEY_PREVIOUS=***"},
		{"hosts", []string{"COMPONENT_ACCOUNTS", " Shop.example.com = " + shopID + " ,b.example.com:443=" + shopID + ",c.example.com=wxc,"},
			"COMPONENT_ACCOUNTS=shop.example.com=" + shopID + ",b.example.com=" + shopID + ",c.example.com=wxc"},
		{"host on loopback", []string{"COMPONENT_ACCOUNTS", "shop.localhost:8080=" + shopID + ",[::1]:80=" + shopID, "PUBLIC_URL", "http://localhost:8080"},
			"COMPONENT_ACCOUNTS=shop.localhost:8080=" + shopID + ",[::1]=" + shopID},
		{"host with a port, insecure", []string{"COMPONENT_ACCOUNTS", "a.example.com:8443=" + shopID, "INSECURE_HTTP", "true"}, "COMPONENT_ACCOUNTS=a.example.com:8443=" + shopID},
		{"host that is served anyway", []string{"COMPONENT_ACCOUNTS", "b.example.com=" + shopID, "ALLOWED_HOSTS", "b.example.com"}, "COMPONENT_ACCOUNTS=b.example.com=" + shopID},
		{"QR code of hosts alone", []string{"COMPONENT_ACCOUNTS", "b.example.com=" + shopID, "QR", "phone", "MP_APP_ID", "", "MP_APP_SECRET", ""}, "QR=phone"},
		{"messages of authorized accounts alone", []string{"MESSAGE_FORWARD", "http://127.0.0.1:3000/m"}, "MESSAGE_FORWARD=http://127.0.0.1:3000/m"},
		{"simulator of the pages", []string{"WECHAT_MP_URL", "http://127.0.0.1:7000/"}, "WECHAT_MP_URL=http://127.0.0.1:7000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantShown(t, platform(tt.vars...), tt.want)
		})
	}
}

func TestComponentAccountsByHost(t *testing.T) {
	c, err := newConfig(platform("COMPONENT_ACCOUNTS", "Shop.example.com:443="+shopID+",b.example.com=wxb"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ComponentAccounts.byHost(); !maps.Equal(got, map[string]string{"shop.example.com": shopID, "b.example.com": "wxb"}) {
		t.Errorf("got %v", got)
	}
}

func TestComponentWarnings(t *testing.T) {
	noMP := []string{"MP_APP_ID", "", "MP_APP_SECRET", ""}
	tests := []struct {
		name string
		vars []string
		want string
	}{
		{"sound", nil, ""},
		{"no operator", []string{"ADMIN_TOKEN", ""}, "WXGATE_COMPONENT_APP_ID: without WXGATE_ADMIN_TOKEN no account can be invited"},
		{"nobody can log in yet", noMP, "WXGATE_COMPONENT_ACCOUNTS: no account of WeChat is given, so nobody can log in; map a host"},
		{"hosts are accounts", append(noMP, "COMPONENT_ACCOUNTS", "b.example.com="+shopID), ""},
		{"public host and a service account", []string{"COMPONENT_ACCOUNTS", "b.example.com=" + shopID + ",play.example.com=" + shopID},
			"WXGATE_COMPONENT_ACCOUNTS: maps the public host, so nobody logs in there by the service account of WXGATE_MP_APP_ID"},
		{"public host by its port", []string{"COMPONENT_ACCOUNTS", "Play.example.com:443=" + shopID}, "WXGATE_COMPONENT_ACCOUNTS: maps the public host"},
		{"public host alone", append(noMP, "COMPONENT_ACCOUNTS", "play.example.com="+shopID), ""},
		{"shared sessions of two accounts", []string{"COOKIE_DOMAIN", "example.com", "COMPONENT_ACCOUNTS", "b.example.com=" + shopID},
			"WXGATE_COMPONENT_ACCOUNTS: WXGATE_COOKIE_DOMAIN shares sessions between hosts of different accounts"},
		{"shared sessions of one account", append(noMP, "COOKIE_DOMAIN", "example.com", "COMPONENT_ACCOUNTS", "b.example.com="+shopID+",play.example.com="+shopID), ""},
		{"another domain's sessions", []string{"COOKIE_DOMAIN", "example.com", "COMPONENT_ACCOUNTS", "b.example.org=" + shopID}, ""},
		{"odd AppID", []string{"COMPONENT_ACCOUNTS", "b.example.com=wxshop"}, `WXGATE_COMPONENT_ACCOUNTS: "wxshop" does not look like an AppID`},
		{"original id", []string{"COMPONENT_ACCOUNTS", "b.example.com=gh_0123456789ab"},
			`WXGATE_COMPONENT_ACCOUNTS: "gh_0123456789ab" does not look like an AppID of WeChat, which is wx and 16 hexadecimal digits (this is an original id, not an AppID)`},
		{"the platform's original id", []string{"COMPONENT_APP_ID", "gh_0123456789ab"},
			"WXGATE_COMPONENT_APP_ID: does not look like an AppID of WeChat, which is wx and 16 hexadecimal digits (this is an original id, not an AppID)"},
		{"host of another account", []string{"COMPONENT_ACCOUNTS", "WX1a2b3c4d5e6fc1f6.a.example.com:443=" + shopID},
			`WXGATE_COMPONENT_ACCOUNTS: "wx1a2b3c4d5e6fc1f6.a.example.com" begins with the AppID of another account; WeChat allows logins there for that one only`},
		{"host of this account", []string{"COMPONENT_ACCOUNTS", shopID + ".a.example.com=" + shopID}, ""},
		{"host that begins like one", []string{"COMPONENT_ACCOUNTS", "wx1a2b3c4d5e6fc1f6a.example.com=" + shopID + ",b.wx1a2b3c4d5e6fc1f6.example.com=" + shopID}, ""},
		{"short token", []string{"COMPONENT_TOKEN", "abc"}, "WXGATE_COMPONENT_TOKEN: has fewer than 8 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantWarning(t, platform(tt.vars...), tt.want)
		})
	}
}

// TestComponentFaults has one mistake a row; each gives exactly one line.
func TestComponentFaults(t *testing.T) {
	tests := []struct {
		name       string
		vars       []string
		want, also string
	}{
		{"AppID", []string{"COMPONENT_APP_ID", "my platform"}, "COMPONENT_APP_ID: is not an AppID", ""},
		{"Token", []string{"COMPONENT_TOKEN", "to-ken"}, "COMPONENT_TOKEN: is no Token of a message push", ""},
		{"key", []string{"COMPONENT_AES_KEY", "short"}, "COMPONENT_AES_KEY: is no EncodingAESKey", ""},
		{"wrong key beside a previous one", []string{"COMPONENT_AES_KEY", "short", "COMPONENT_AES_KEY_PREVIOUS", aesKeyA}, "COMPONENT_AES_KEY: is no EncodingAESKey", ""},
		{"previous key", []string{"COMPONENT_AES_KEY_PREVIOUS", "short"}, "COMPONENT_AES_KEY_PREVIOUS: is no EncodingAESKey", "43"},
		{"key twice", []string{"COMPONENT_AES_KEY_PREVIOUS", aesKeyA}, "COMPONENT_AES_KEY_PREVIOUS: repeats WXGATE_COMPONENT_AES_KEY", "or none"},
		{"key in other letters", []string{"COMPONENT_AES_KEY_PREVIOUS", aesKeyA[:42] + "9"}, "COMPONENT_AES_KEY_PREVIOUS: is the same key as WXGATE_COMPONENT_AES_KEY in other letters", "or none"},
		{"pages over http", []string{"WECHAT_MP_URL", "http://mp.weixin.qq.com"}, "WECHAT_MP_URL: would send secrets over plain http", "https://mp.weixin.qq.com"},

		{"host without account", []string{"COMPONENT_ACCOUNTS", "b.example.com"}, `COMPONENT_ACCOUNTS: "b.example.com" names no account`, "HOST=APPID"},
		{"host with an empty account", []string{"COMPONENT_ACCOUNTS", "b.example.com="}, `COMPONENT_ACCOUNTS: "b.example.com=" has no AppID`, "HOST=APPID"},
		{"account with a blank", []string{"COMPONENT_ACCOUNTS", "b.example.com=my shop"}, `COMPONENT_ACCOUNTS: "b.example.com=my shop" has no AppID`, ""},
		{"account without host", []string{"COMPONENT_ACCOUNTS", "=" + shopID}, `COMPONENT_ACCOUNTS: "=` + shopID + `" is not a host`, ""},
		{"apart by semicolons", []string{"COMPONENT_ACCOUNTS", "a.example.com=wxa;b.example.com=wxb"}, "COMPONENT_ACCOUNTS: ", "has no AppID"},
		{"URL", []string{"COMPONENT_ACCOUNTS", "https://b.example.com=" + shopID}, "COMPONENT_ACCOUNTS: ", "is a URL; write the host alone"},
		{"pattern", []string{"COMPONENT_ACCOUNTS", "*.example.com=" + shopID}, "COMPONENT_ACCOUNTS: ", "is a pattern; list each"},
		{"no host", []string{"COMPONENT_ACCOUNTS", "b.example.com/x=" + shopID}, "COMPONENT_ACCOUNTS: ", "is not a host"},
		{"port", []string{"COMPONENT_ACCOUNTS", "b.example.com:8443=" + shopID}, `COMPONENT_ACCOUNTS: "b.example.com:8443" has a port`, "write b.example.com"},
		{"host twice", []string{"COMPONENT_ACCOUNTS", "b.example.com=" + shopID + ",B.example.com=wxb"}, `COMPONENT_ACCOUNTS: "b.example.com" is given twice`, "keep one"},
		{"host twice by its port", []string{"COMPONENT_ACCOUNTS", "b.example.com=" + shopID + ",b.example.com:443=" + shopID}, `COMPONENT_ACCOUNTS: "b.example.com" is given twice`, ""},
		{"the service account", []string{"COMPONENT_APP_ID", shopID, "MP_APP_ID", shopID}, "COMPONENT_APP_ID: is the AppID of WXGATE_MP_APP_ID too", "the third-party platform's own"},
		{"the website app", []string{"WEB_APP_ID", platformID, "WEB_APP_SECRET", "s"}, "COMPONENT_APP_ID: is the AppID of WXGATE_WEB_APP_ID too", ""},
		{"the mobile app", []string{"MOBILE_APP_ID", platformID, "MOBILE_APP_SECRET", "s"}, "COMPONENT_APP_ID: is the AppID of WXGATE_MOBILE_APP_ID too", ""},
		{"the mini program", []string{"MINI_APP_ID", platformID, "MINI_APP_SECRET", "s"}, "COMPONENT_APP_ID: is the AppID of WXGATE_MINI_APP_ID too", ""},
		{"the platform itself", []string{"COMPONENT_ACCOUNTS", "b.example.com=" + platformID}, `COMPONENT_ACCOUNTS: "b.example.com" is mapped to the platform itself`, ""},

		{"QR code before any host", []string{"QR", "phone", "MP_APP_ID", "", "MP_APP_SECRET", ""}, "QR: phone needs a service account", ""},
		{"QR frame of hosts alone", []string{"QR", "embed", "COMPONENT_ACCOUNTS", "b.example.com=" + shopID}, "QR: embed needs a website app", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantFault(t, platform(tt.vars...), tt.want, tt.also)
		})
	}
}

// TestComponentParts gives every set of the parts of a platform. All that is missing is named, and one given part is
// the reason; a part that is wrong is no reason to ask for others.
func TestComponentParts(t *testing.T) {
	parts := []struct{ name, value, wrong string }{
		{"WXGATE_COMPONENT_APP_ID", platformID, "a b"}, {"WXGATE_COMPONENT_APP_SECRET", "s", "a b"},
		{"WXGATE_COMPONENT_TOKEN", "tokenOfThePlatform", "-"}, {"WXGATE_COMPONENT_AES_KEY", aesKeyA, "-"},
		{"WXGATE_COMPONENT_AES_KEY_PREVIOUS", aesKeyB, "-"},
	}
	all := 1 << len(parts)
	for given := range all {
		for broken := range all {
			if broken&^given != 0 {
				continue
			}
			vars := minimal("ADMIN_TOKEN", keyB)
			var want []string
			reason := ""
			for i, p := range parts {
				switch {
				case broken&(1<<i) != 0:
					vars[p.name] = p.wrong
				case given&(1<<i) != 0:
					vars[p.name] = p.value
					if reason == "" {
						reason = p.name
					}
				}
			}
			for i, p := range parts {
				switch {
				case broken&(1<<i) != 0:
					want = append(want, p.name+": ")
				case given&(1<<i) == 0 && reason != "" && i < 4:
					want = append(want, p.name+": required, because "+reason+" is given")
				}
			}
			_, err := newConfig(vars)
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.EqualFunc(got, want, func(g, w string) bool { return strings.HasPrefix(g, w) }) {
				t.Errorf("given %05b, broken %05b:\n%q, want\n%q", given, broken, got, want)
			}
		}
	}
	vars := minimal("COMPONENT_ACCOUNTS", "b.example.com="+shopID)
	if _, err := newConfig(vars); err == nil || err.Error() != "WXGATE_COMPONENT_ACCOUNTS: need a third-party platform to act for them; give WXGATE_COMPONENT_APP_ID" {
		t.Errorf("accounts alone: %v", err)
	}
	vars["WXGATE_COMPONENT_APP_SECRET"] = "a b"
	if _, err := newConfig(vars); err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "WXGATE_COMPONENT_APP_SECRET: contains a blank") {
		t.Errorf("accounts with a broken platform: %v", err)
	}
}
