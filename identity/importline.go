package identity

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// refused says why a line is not imported. The texts are for the operator; they name places in the line and user ids, never openids,
// unionids or names.
type refused string

func (r refused) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

// maxAhead is how far in the future a line's times may be. A time beyond it would keep later logins from being noted.
const maxAhead = 24 * time.Hour

// parseLine reads one line of an import and brings it into the form in which records hold things. Members that it does not know are
// refused: a misspelt name would silently lose what it holds. Errors are of type refused.
func (d *Directory) parseLine(text []byte, now time.Time) (*line, error) {
	in := new(line)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(in); err != nil {
		return nil, explain(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, refuse("more than one JSON value in the line")
	}
	if in.Status == "" {
		in.Status = StatusActive
	}
	if err := in.checkIDs(now); err != nil {
		return nil, err
	}
	if err := in.checkHistory(now); err != nil {
		return nil, err
	}
	switch in.Status {
	case StatusActive, StatusBlocked:
		if err := d.checkAccounts(in.Accounts, now); err != nil {
			return nil, err
		}
		return in, in.checkLiving(now)
	case StatusErased:
		return in, in.checkErased()
	case StatusMerged:
		return nil, refuse("a merged user has no line: it is one of the survivor's aliases")
	}
	return nil, refuse("unknown status")
}

// explain says what is wrong with the JSON, without the names of Go types and without repeating values.
func explain(err error) error {
	var kind *json.UnmarshalTypeError
	var moment *time.ParseError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("not JSON: it ends too early")
	case errors.As(err, &kind):
		what, _, _ := strings.Cut(kind.Value, " ") // cuts off the value itself
		return refuse("%s is a JSON %s, which it should not be", cmp.Or(cut(strings.TrimPrefix(kind.Field, "User.")), "the line"), what)
	case errors.As(err, &moment), strings.HasPrefix(err.Error(), "Time."):
		return refuse("a time is not in the form of RFC 3339")
	case strings.HasPrefix(err.Error(), "json: "):
		return refuse("%s", cut(strings.TrimPrefix(err.Error(), "json: "))) // an unknown field
	}
	return refuse("not JSON: %s", cut(err.Error()))
}

func cut(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

func (in *line) checkIDs(now time.Time) error {
	switch {
	case in.ID != "" && !ValidID(in.ID):
		return refuse("id is not a user id of ours; leave it out for users of another system")
	case in.ID == "" && len(in.Accounts) == 0 && len(in.Unionids) == 0:
		return refuse("neither id nor account nor unionid: a second import could not know the user again")
	case !validIDs(in.Aliases), slices.Contains(in.Aliases, in.ID):
		return refuse("aliases are not user ids, each once and none the user's own")
	case !validIDs(in.Apart):
		return refuse("apart does not hold user ids, each once")
	}
	return checkTime("created_at", &in.CreatedAt, now)
}

func validIDs(ids []string) bool {
	sorted := slices.Sorted(slices.Values(ids))
	return !slices.ContainsFunc(ids, func(id string) bool { return !ValidID(id) }) && len(slices.Compact(sorted)) == len(ids)
}

// checkTime lets a time that is absent be absent.
func checkTime(what string, t *time.Time, now time.Time) error {
	*t = t.UTC().Truncate(time.Second)
	if !t.IsZero() && (t.Unix() < 0 || t.After(now.Add(maxAhead))) {
		return refuse("%s is before 1970 or in the future", what)
	}
	return nil
}

func (in *line) checkHistory(now time.Time) error {
	for i := range in.History {
		e, at := &in.History[i], fmt.Sprintf("history[%d]", i)
		if err := checkTime(at, &e.Time, now); err != nil {
			return err
		}
		if e.Time.IsZero() || e.Type == "" {
			return refuse("%s lacks its time or type", at)
		}
		for _, s := range []string{e.Type, e.Channel, e.AppID, e.OpenID, e.Platform, e.UnionID, e.From} {
			if s != "" && !validWeChatID(s) {
				return refuse("%s has impossible characters or more than %d bytes", at, maxWeChatID)
			}
		}
	}
	if extra := len(in.History) - maxHistory; extra > 0 {
		in.History = slices.Delete(in.History, 1, 1+extra)
	}
	return nil
}

func validWeChatID(s string) bool { return s != "" && len(s) <= maxWeChatID && visibleASCII(s) }

// checkErased leaves nothing in a tombstone but its id, its times and its aliases.
func (in *line) checkErased() error {
	switch {
	case in.ID == "":
		return refuse("an erased user without id")
	case len(in.Accounts)+len(in.Unionids)+len(in.Former) > 0 || in.Profile != nil || in.Yunxin.Accid != "":
		return refuse("an erased user with personal data")
	}
	erased := Event{Type: EventErased}
	for _, e := range in.History {
		if e.Type == EventErased {
			erased.Time = e.Time
		}
	}
	in.History = nil
	if !erased.Time.IsZero() {
		in.History = []Event{erased}
	}
	return nil
}

func (in *line) checkLiving(now time.Time) error {
	for platform, unionID := range in.Unionids {
		if !validWeChatID(platform) || !validWeChatID(unionID) {
			return refuse("unionids has an entry that is empty, has impossible characters or more than %d bytes", maxWeChatID)
		}
	}
	for i, f := range in.Former {
		if !validWeChatID(f.Platform) || !validWeChatID(f.UnionID) {
			return refuse("former[%d] is empty, has impossible characters or more than %d bytes", i, maxWeChatID)
		}
	}
	for id, n := range in.Epochs {
		if !ValidID(id) || n < 0 || n > math.MaxInt32 {
			return refuse("epochs does not hold small numbers by user id")
		}
	}
	if p := in.Profile; p != nil {
		if err := checkTime("profile.updated_at", &p.UpdatedAt, now); err != nil {
			return err
		}
		p.Name, p.Avatar = CleanName(p.Name), CleanAvatar(p.Avatar)
	}
	return in.checkYunxin()
}

// checkAccounts judges accounts as if each were logging in.
func (d *Directory) checkAccounts(accounts []Account, now time.Time) error {
	seen := map[string]bool{}
	for i := range accounts {
		a, at := &accounts[i], fmt.Sprintf("accounts[%d]", i)
		if _, err := d.check(Login{Channel: a.Channel, AppID: a.AppID, OpenID: a.OpenID}); err != nil {
			return refuse("%s: %s", at, strings.TrimPrefix(err.Error(), ErrLogin.Error()+": "))
		}
		key := accountKey(a.AppID, a.OpenID)
		if seen[key] {
			return refuse("%s is there twice", at)
		}
		seen[key] = true
		if err := checkTime(at+".first_seen", &a.FirstSeen, now); err != nil {
			return err
		}
		if err := checkTime(at+".last_seen", &a.LastSeen, now); err != nil {
			return err
		}
	}
	return nil
}

// checkYunxin believes that an account is ready only where the name of its token's secret is there, which none but this program's
// export has. Every other one is pending: then the first login makes sure that it exists, which an account that another system made
// survives, and sets a token that is known here. That an account is blocked is believed: nobody gains by it.
// Accid: https://doc.yunxin.163.com/messaging/server-apis/DQ3Nzk1MTY?platform=server (Yunxin folds it to lower case)
func (in *line) checkYunxin() error {
	const (
		alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@.-"
		maxAccid = 32
	)
	y := &in.Yunxin
	switch {
	case len(y.Accid) > maxAccid, strings.Trim(y.Accid, alphabet) != "", y.Accid == ".", y.Accid == "..":
		return refuse("yunxin.accid is not 1 to %d of A-Z, a-z, 0-9, _ @ . -", maxAccid)
	case y.TokenKey != "" && !validWeChatID(y.TokenKey), len(y.Name) > MaxAvatarBytes, len(y.Avatar) > MaxAvatarBytes:
		return refuse("yunxin has a member with impossible characters or too many of them")
	case y.Epoch < 0, y.Epoch > math.MaxInt32, y.TokenEpoch < 0, y.TokenEpoch > y.Epoch:
		return refuse("yunxin has an impossible epoch")
	}
	y.Accid = strings.ToLower(y.Accid)
	switch y.State {
	case "", YunxinNone, YunxinPending:
	case YunxinReady, YunxinBlocked:
		if y.Accid == "" {
			return refuse("yunxin.state without accid")
		}
	default:
		return refuse("unknown yunxin.state")
	}
	switch {
	case y.Accid == "":
		*y = Yunxin{State: YunxinNone, Epoch: y.Epoch, TokenEpoch: y.TokenEpoch}
	case y.State != YunxinBlocked && (y.State != YunxinReady || y.TokenKey == ""):
		y.State = YunxinPending
	}
	return nil
}
