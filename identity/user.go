package identity

import (
	"math"
	"slices"
	"time"
)

// The states of a user.
const (
	StatusActive  = "active"
	StatusBlocked = "blocked" // known, but may not come in
	StatusErased  = "erased"  // a tombstone without personal data, so that the id is never given to anybody else
	// StatusMerged is the state of a record whose user became another one. Only [Directory.Record] shows it: everything else
	// answers with the survivor.
	StatusMerged = "merged"
)

// The channels through which an account logs in.
const (
	ChannelMP        = "mp"        // service account, inside WeChat
	ChannelWeb       = "web"       // website app, QR code on a PC
	ChannelMobile    = "mobile"    // mobile app
	ChannelMini      = "mini"      // mini program
	ChannelComponent = "component" // an account served on behalf of its owner by a third-party platform
)

// User is one person as the upstream app knows them. Its JSON is the shape that the admin API shows and exports.
type User struct {
	ID        string            `json:"id"`
	Status    string            `json:"status"`
	CreatedAt time.Time         `json:"created_at"`
	Accounts  []Account         `json:"accounts"`
	Unionids  map[string]string `json:"unionids"` // by open-platform account
	Profile   *Profile          `json:"profile,omitempty"`
	Yunxin    Yunxin            `json:"yunxin"`
	Aliases   []string          `json:"aliases"` // ids of users that were merged into this one
	History   []Event           `json:"history"` // oldest first, at most 64 entries

	kept kept
}

// kept is what a record holds beyond what the admin API shows.
type kept struct {
	// Merge is set where the user became another one.
	Merge *merge `json:"merge,omitempty"`
	// Outbox holds the events that the app has not acknowledged yet, oldest first.
	Outbox []Notice `json:"outbox,omitempty"`
	// Apart names users that a unionid must not put together with this one: an operator took them apart.
	Apart []string `json:"apart,omitempty"`
	// Split is set until a user that was split off has its account to itself.
	Split *split `json:"split,omitempty"`
	// Parting says to whom accounts went that were split off, by index key, until the index says so.
	Parting map[string]string `json:"parting,omitempty"`
	// Epochs counts, by the user id that sessions carry, how often all of them were ended. An absent one is 0.
	Epochs map[string]int `json:"epochs,omitempty"`
	// Former are index keys of unionids that WeChat replaced; they still lead here.
	Former []string `json:"former,omitempty"`
	// Withdrawn says that the person took the consent back and has not logged in since.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// SessionEpoch is the number that a session which carries this user id must have to be valid. A session belongs to the id that
// its login found, which may have been merged into u since.
func (u *User) SessionEpoch(id string) int {
	n, ok := u.kept.Epochs[id]
	if !ok && id != u.ID {
		return math.MaxInt // no session with this id ever came here
	}
	return n
}

// SessionIDs are the user ids that valid sessions of u may carry: its own, those of users merged into it, and of those it was split from.
func (u *User) SessionIDs() []string {
	ids := append([]string{u.ID}, u.Aliases...)
	for id := range u.kept.Epochs {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// endSessions makes every session of u and of the users merged into it invalid, and withdraws the login token for Yunxin.
func (u *User) endSessions() {
	u.takeEpochs(u) // so that each id is there
	for id := range u.kept.Epochs {
		u.kept.Epochs[id]++
	}
	u.Yunxin.Epoch++
}

// Withdrawn reports that the person took the consent back and has not logged in since.
func (u *User) Withdrawn() bool { return u.kept.Withdrawn }

// Account is one person's identity at one WeChat account. (AppID, OpenID) is unique: an openid means something only inside its appid.
type Account struct {
	Channel   string    `json:"channel"`
	AppID     string    `json:"appid"`
	OpenID    string    `json:"openid"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"` // of logins, brought up to date at most once an hour
}

// Profile is what the person let WeChat tell about them. It is for display only: nicknames are neither unique nor lasting.
type Profile struct {
	Name      string    `json:"name"`       // as [CleanName] leaves it; may be empty
	Avatar    string    `json:"avatar"`     // as [CleanAvatar] leaves it; may be empty; dies when the person changes the picture
	UpdatedAt time.Time `json:"updated_at"` // when WeChat last told it, even if nothing had changed
}

// YunxinState says how far the person's account at Yunxin is.
type YunxinState string

// The states of an account at Yunxin.
const (
	YunxinNone    YunxinState = "none"
	YunxinPending YunxinState = "pending"
	YunxinReady   YunxinState = "ready"
	YunxinBlocked YunxinState = "blocked"
)

// Yunxin is what is remembered about the person's account at Yunxin.
type Yunxin struct {
	Accid    string      `json:"accid"`
	State    YunxinState `json:"state"`
	TokenKey string      `json:"token_key,omitempty"` // names the secret that the static token was derived from; not the secret
	Epoch    int         `json:"epoch,omitempty"`     // raised to withdraw a static token
	// TokenEpoch is the epoch whose token is set at Yunxin. While it is behind Epoch, the former token still has to be replaced.
	TokenEpoch int `json:"token_epoch,omitempty"`
	// Blocking says that a block at Yunxin was begun. While State is not blocked, nobody knows whether it was made.
	Blocking bool   `json:"blocking,omitempty"`
	Name     string `json:"name,omitempty"`   // as last pushed to Yunxin
	Avatar   string `json:"avatar,omitempty"` // as last pushed to Yunxin
}

// The types of history entries.
const (
	EventCreated   = "created"   // the user's first login
	EventLinked    = "linked"    // a further account joined the user
	EventUnionid   = "unionid"   // a unionid was learned, or changed (then From is the former one)
	EventRecovered = "recovered" // the index knew the user but the record was lost; it was begun anew under the same id

	EventMerged    = "merged"    // another user, From, became this one; the rest is the evidence, none for an operator's decision
	EventSplit     = "split"     // an operator took the account away (From is the new user) or began this user with it (From is the former one)
	EventBlocked   = "blocked"   // by an operator, or with a blocked user that was merged into this one (From)
	EventUnblocked = "unblocked" // by an operator
	EventRevoked   = "revoked"   // the person took the consent back in WeChat or closed the account there
	EventErased    = "erased"    // the only entry of a tombstone
	EventImported  = "imported"  // by an operator
)

// Event is one entry of a user's history: what happened, and the evidence for it.
type Event struct {
	Time     time.Time `json:"time"`
	Type     string    `json:"type"`
	Channel  string    `json:"channel,omitempty"`
	AppID    string    `json:"appid,omitempty"`
	OpenID   string    `json:"openid,omitempty"`
	Platform string    `json:"platform,omitempty"`
	UnionID  string    `json:"unionid,omitempty"`
	From     string    `json:"from,omitempty"` // the former value, or the other user's id
}

// Account returns the user's account with this appid and openid, or nil. The pointer reaches into u.
func (u *User) Account(appID, openID string) *Account {
	for i := range u.Accounts {
		if a := &u.Accounts[i]; a.AppID == appID && a.OpenID == openID {
			return a
		}
	}
	return nil
}

const maxHistory = 64

// AddEvent appends an entry to the history. An entry that differs only in time from an earlier one replaces it: otherwise two
// accounts of one person that report different unionids in turn would push everything else out. Beyond 64 entries the oldest go,
// except the very first, which says where the user came from.
func (u *User) AddEvent(e Event) {
	e.Time = e.Time.UTC().Truncate(time.Second)
	u.History = slices.DeleteFunc(u.History, func(old Event) bool {
		old.Time = e.Time
		return old == e
	})
	u.History = append(u.History, e)
	u.boundHistory()
}

func (u *User) boundHistory() {
	if extra := len(u.History) - maxHistory; extra > 0 {
		u.History = slices.Delete(u.History, 1, 1+extra)
	}
}
