package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// Version 1 had no kept; it is read as well.
	recordVersion = 2
	// maxRecord bounds a stored user in bytes. History is bounded by number, so only accounts can make a record grow: this is
	// room for more than a thousand of them.
	maxRecord = 256 << 10
)

// ErrRecord says that a stored entry exists but cannot be used: damaged, belonging to another key, too large, or written by a newer
// version of this program. It is never treated as absence, because that would give a known person a second user.
var ErrRecord = errors.New("identity: unusable stored entry")

// record is the stored form of a user.
type record struct {
	Version int `json:"v"`
	User
	Kept kept `json:"kept,omitzero"`
}

// encodeUser gives the stored form, with no list left null, so that the same user always has the same bytes.
func encodeUser(u *User) ([]byte, error) {
	normalize(u)
	b, err := json.Marshal(record{recordVersion, *u, u.kept})
	if err != nil {
		return nil, fmt.Errorf("%w: user %s: %w", ErrRecord, u.ID, err)
	}
	if len(b) > maxRecord {
		return nil, fmt.Errorf("%w: user %s would have %d bytes, more than %d", ErrRecord, u.ID, len(b), maxRecord)
	}
	return b, nil
}

// decodeUser reads the stored form of the user with this id. Unknown fields are refused: rewriting a record without them would
// silently lose what another version stored. The id inside must be the one asked for, so that a store that mixes up its answers
// cannot turn one person into another.
func decodeUser(id string, b []byte) (*User, error) {
	if len(b) > maxRecord {
		return nil, fmt.Errorf("%w: user %s has %d bytes, more than %d", ErrRecord, id, len(b), maxRecord)
	}
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(b, &head); err != nil { // refuses trailing data, too
		return nil, fmt.Errorf("%w: user %s: %w", ErrRecord, id, err)
	}
	if head.Version < 1 || head.Version > recordVersion {
		return nil, fmt.Errorf("%w: user %s has format version %d, this program reads up to version %d", ErrRecord, id, head.Version, recordVersion)
	}
	var r record
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: user %s: %w", ErrRecord, id, err)
	}
	if r.ID != id {
		return nil, fmt.Errorf("%w: the entry of user %s holds another user", ErrRecord, id)
	}
	switch r.Status {
	case StatusActive, StatusBlocked, StatusErased:
	case StatusMerged:
		if r.Kept.Merge == nil || !ValidID(r.Kept.Merge.Into) {
			return nil, fmt.Errorf("%w: user %s was merged into nobody", ErrRecord, id)
		}
	default:
		// A guess here could let a blocked person in.
		return nil, fmt.Errorf("%w: user %s has an unknown status", ErrRecord, id)
	}
	r.User.kept = r.Kept
	normalize(&r.User)
	return &r.User, nil
}

func normalize(u *User) {
	if u.Accounts == nil {
		u.Accounts = []Account{}
	}
	if u.Unionids == nil {
		u.Unionids = map[string]string{}
	}
	if u.Aliases == nil {
		u.Aliases = []string{}
	}
	if u.History == nil {
		u.History = []Event{}
	}
	if u.Yunxin.State == "" {
		u.Yunxin.State = YunxinNone
	}
}
