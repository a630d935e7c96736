package yunxintest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// object is a JSON object whose members can be put in any order.
type object []member

type member struct {
	name  string
	value any
}

// render writes a result the way the generation of the request does.
func (s *Simulator) render(q *request, res result) []byte {
	o := object{{"code", res.code}}
	switch {
	case q.version == "v1" && res.code != 200:
		o = append(o, member{"desc", res.text})
	case q.version == "v1":
		o = append(o, s.v1Data(q, res)...)
	case res.code != 200:
		o = append(o, member{"msg", res.text}, member{"data", object{}})
	default:
		msg := "success"
		if !s.behaviour.Plain && s.random.IntN(2) == 0 {
			msg = "success."
		}
		o = append(o, member{"msg", msg}, member{"data", s.v2Data(q, res)})
	}
	return s.encode(o)
}

func (s *Simulator) v1Data(q *request, res result) object {
	a := res.account
	switch {
	case q.api == Profiles:
		list := make([]object, 0, len(res.accounts))
		for _, a := range res.accounts {
			list = append(list, append(a.members("v1"), member{"accid", a.accid}, member{"valid", true}, member{"mute", false}))
		}
		return object{{"uinfos", list}}
	case a == nil || q.api != Create && q.api != RefreshToken:
		return nil
	}
	info := object{{"token", a.token}, {"accid", a.accid}}
	if q.api == Create {
		info = append(info, member{"name", a.profile["name"]})
	}
	if s.behaviour.InfoAsString {
		return object{{"info", string(s.encode(info))}}
	}
	return object{{"info", info}}
}

func (s *Simulator) v2Data(q *request, res result) object {
	a := res.account
	switch {
	case q.api == GetAccounts:
		return accountsData(res)
	case a == nil:
		return object{}
	}
	id := member{"account_id", a.accid}
	configuration := object{{"enabled", !a.blocked}, {"p2p_chat_banned", false}}
	switch q.api {
	case Create:
		return object{id, {"token", a.token}, {"configuration", configuration}, {"user_information", a.members("v2")}}
	case UpdateToken:
		return object{id, {"configuration", configuration}}
	case RefreshToken:
		return object{id, {"token", a.token}, {"configration", configuration}} // misspelt as in the documents
	case GetAccount, Block, Unblock:
		return object{id, {"configuration", configuration}}
	case UpdateProfile, Profiles:
		return append(a.members("v2"), id)
	case Kick:
		return s.kickData(res)
	default:
		return object{}
	}
}

// accountsData is the data of GetAccounts.
func accountsData(res result) object {
	found, missing := []object{}, []object{}
	for _, a := range res.accounts {
		found = append(found, object{{"account_id", a.accid}, {"configuration", object{{"enabled", !a.blocked}}}})
	}
	for _, id := range res.missing {
		missing = append(missing, object{{"account_id", id}, {"error_code", 102404}, {"error_msg", "account not exist"}})
	}
	return object{{"success_list", found}, {"failed_list", missing}}
}

// kickData has failed_list as a list, as the vendor's client reads it, or as the
// object that the documents show.
func (s *Simulator) kickData(res result) object {
	done, failed := []object{}, []object{}
	for _, session := range res.kicked {
		done = append(done, object{{"device_id", session.Device}, {"login_time", session.Opened.UnixMilli()}, {"client_type", 16}, {"consid", session.Device}})
	}
	for _, session := range res.left {
		failed = append(failed, object{{"device_id", session.Device}, {"error_code", 500}, {"error_msg", "internal server error"}})
	}
	if s.behaviour.Plain || s.random.IntN(2) == 0 {
		return object{{"success_list", done}, {"failed_list", failed}}
	}
	one := object{}
	if len(failed) > 0 {
		one = failed[0]
	}
	return object{{"success_list", done}, {"failed_list", one}}
}

// encode writes o, in random order and with a member that nobody expects.
func (s *Simulator) encode(o object) []byte {
	if !s.behaviour.Plain {
		o = append(append(object{}, o...), member{"reserved", []any{1, nil, "x"}})
		s.random.Shuffle(len(o), func(i, j int) { o[i], o[j] = o[j], o[i] })
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(mustMarshal(m.name))
		b.WriteByte(':')
		switch v := m.value.(type) {
		case object:
			b.Write(s.encode(v))
		case []object:
			b.WriteByte('[')
			for i, each := range v {
				if i > 0 {
					b.WriteByte(',')
				}
				b.Write(s.encode(each))
			}
			b.WriteByte(']')
		default:
			b.Write(mustMarshal(v))
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("yunxintest: " + err.Error()) // only strings, numbers and booleans come here
	}
	return b
}

// outgoing is a reply and what happens to it on its way.
type outgoing struct {
	status int
	body   []byte
	date   time.Time
	delay  time.Duration
	drop   bool // breaks the connection instead
	cut    bool // breaks it after half of the body
}

func (o outgoing) deliver(w http.ResponseWriter, r *http.Request) {
	if o.delay > 0 {
		timer := time.NewTimer(o.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if o.drop {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	h.Set("Date", o.date.UTC().Format(http.TimeFormat)) // of our own clock, not of the machine's
	h.Set("Content-Type", "application/json;charset=utf-8")
	if o.status != http.StatusOK {
		h.Set("Content-Type", "text/html")
		o.body = []byte(cmp.Or(string(o.body), "<html><body>"+http.StatusText(o.status)+"</body></html>"))
	}
	h.Set("Content-Length", strconv.Itoa(len(o.body)))
	w.WriteHeader(o.status)
	if o.cut {
		w.Write(o.body[:len(o.body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(o.body)
}
