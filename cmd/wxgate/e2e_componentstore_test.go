package main

import (
	"context"
	"regexp"
	"time"

	"wxgate/identity"
)

// hours is more than any token or lease of a platform lives.
const hours = 3 * time.Hour

// aging are the times in the records whose keys begin so. The end of a code is none of them: that is WeChat's.
var aging = map[string]*regexp.Regexp{
	"t:" + platformAppID + "/token":    timesOf("minted_at|expires_at|lease_until"),
	"t:" + platformAppID + "/account/": timesOf("minted_at|expires_at|lease_until"),
	"t:" + platformAppID + "/code/":    timesOf("lease"),
	"m:":                               timesOf("until"), // what the app is being told, or asked
}

func timesOf(names string) *regexp.Regexp {
	return regexp.MustCompile(`"(` + names + `)":"(\d{4}-\d\d-\d\dT[^"]+)"`)
}

// timePasses ages what a dead wxgate has left in its store: tokens end, so do the leases of whoever worked on something,
// and all that is due is due now. It is what the test does instead of waiting for it.
func (k *killing) timePasses() {
	k.t.Helper()
	if k.p.running() {
		k.t.Fatal("wxgate is still alive")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := openStore(k.env["WXGATE_STORE_URL"])
	if err != nil {
		k.t.Fatal(err)
	}
	defer st.Close()
	for prefix, times := range aging {
		err := st.List(ctx, prefix, func(key string, value []byte) error {
			aged := age(value, times)
			if aged == nil {
				return nil
			}
			// That it loses its lifetime does not matter here.
			_, err := st.Replace(ctx, key, value, aged, 0)
			return err
		})
		if err != nil {
			k.t.Fatal(err)
		}
	}
	for _, queue := range []string{"component:" + platformAppID, identity.QueueNotices} {
		now := time.Now()
		due, err := st.TakeDue(ctx, queue, now.Add(24*time.Hour), time.Minute, 1_000_000)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, id := range due {
			if err := st.Schedule(ctx, queue, id, now); err != nil {
				k.t.Fatal(err)
			}
		}
	}
}

// age moves the times of a record, if one of them is still to come; nil means that none is.
func age(value []byte, times *regexp.Regexp) (aged []byte) {
	ahead := false
	aged = times.ReplaceAllFunc(value, func(pair []byte) []byte {
		parts := times.FindSubmatch(pair)
		at, err := time.Parse(time.RFC3339Nano, string(parts[2]))
		if err != nil || at.IsZero() {
			return pair
		}
		ahead = ahead || at.After(time.Now())
		return []byte(`"` + string(parts[1]) + `":"` + at.Add(-hours).Format(time.RFC3339Nano) + `"`)
	})
	if !ahead {
		return nil
	}
	return aged
}
