package proxy

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The arrows between packages, cmd → proxy → {session, identity, wechat,
// yunxin}, as imports that are allowed. Whatever is not listed is banned.
var arrows = map[string][]string{
	"cmd/wxgate":             {"proxy", "session", "identity", "wechat", "wechat/component", "yunxin", "session/boltstore", "session/redisstore", "cmd/wxgate/clawmachine", "wechat/wechattest", "yunxin/yunxintest"},
	"cmd/wxgate/clawmachine": {},
	"deploy/claw-app":        {},
	"cmd/fakewechat":         {"wechat/wechattest", "yunxin/yunxintest"},
	"cmd/bench":              {"identity", "session", "session/redisstore", "wechat/wechattest"},
	"proxy":                  {"proxy/transport", "session", "identity", "wechat", "wechat/component", "yunxin"},
	"proxy/transport":        {},
	"session":                {},
	"identity":               {},
	"wechat":                 {},
	"wechat/component":       {"wechat"},
	"yunxin":                 {},
	"session/boltstore":      {},
	"session/redisstore":     {},
	"session/storetest":      {},
	"wechat/wechattest":      {},
	"yunxin/yunxintest":      {},
}

// bans says, for what somebody may be tempted to do, why it is not done.
var bans = []struct{ from, to, why string }{
	{"session", "", "a leaf knows no sibling: sessions name users by id and ask nobody who that is"},
	{"identity", "", "a leaf knows no sibling: users and assertions do not depend on how somebody logged in"},
	{"wechat", "", "a leaf knows no sibling: WeChat's client speaks WeChat's words only, proxy translates"},
	{"wechat/component", "", "a leaf knows no sibling: it fits the store, the queue and the seal of others by shape"},
	{"yunxin", "", "a leaf knows no sibling: Yunxin's client speaks Yunxin's words only, proxy translates"},
	{"session/boltstore", "", "back ends fit the consumers' interfaces by shape, so that consumers can change without them"},
	{"session/redisstore", "", "back ends fit the consumers' interfaces by shape, so that consumers can change without them"},
	{"proxy", "session/", "the request path must not know where bytes are kept; cmd alone picks a back end"},
	{"proxy", "wechat/wechattest", "simulators are for tests and the demo, never a part of the gateway"},
	{"proxy", "yunxin/yunxintest", "simulators are for tests and the demo, never a part of the gateway"},
	{"proxy", "cmd", "packages receive values; only cmd knows the environment"},
	{"proxy/transport", "", "the wire knows no visitors: what a request may say is decided before it gets there"},
	{"cmd/fakewechat", "proxy", "the simulator must be usable against any client, so it shares no code with the gateway"},
	{"cmd/wxgate/clawmachine", "", "the app is what a team would write: it trusts only what it can verify, with public libraries"},
	{"wechat/wechattest", "wechat", "a simulator that shared the client's code would share its mistakes"},
	{"yunxin/yunxintest", "yunxin", "a simulator that shared the client's code would share its mistakes"},
}

func TestArrows(t *testing.T) {
	root := ".."
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root || d.Name() == "testdata" || d.Name() == ".git" {
				return filepath.SkipDir // another module
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		seen++
		from := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), root+string(filepath.Separator)))
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		allowed, known := arrows[from]
		if !known {
			t.Errorf("package %s is in no place of the design: give it one in arrows", from)
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if name == "testing" && from != "session/storetest" {
				t.Errorf("%s imports testing: simulators are served by programs too", path)
			}
			to, ours := strings.CutPrefix(name, "wxgate/")
			if ours && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: %s", path, to, why(from, to))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Fatalf("only %d files were looked at", seen)
	}
}

func why(from, to string) string {
	for _, b := range bans {
		if b.from == from && strings.HasPrefix(to, b.to) {
			return b.why
		}
	}
	return "no arrow leads there: cmd → proxy → {session, identity, wechat, yunxin}"
}
