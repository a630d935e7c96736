// Package yunxintest is a stand-in for NetEase Yunxin's IM account API, in the
// style of net/http/httptest: both generations of the wire format over one set
// of accounts, with the documented rules, a clock that can be moved, faults to
// inject, a journal of what it saw, and an oracle that says whether an account
// and token would let a page's NIM SDK in. It is a plain http.Handler without
// the testing package, so that programs can serve it too.
//
// It serves POST /nimserver/user/{create,update,refreshToken,getUinfos,
// updateUinfo,block,unblock}.action, and under / as well as /nimserver:
// POST /im/v2/accounts, PATCH and GET /im/v2/accounts/{id}, GET
// /im/v2/accounts?account_ids=, PATCH
// /im/v2/accounts/{id}/actions/{refresh_token,disable}, POST
// /im/v2/accounts/{id}/actions/kick, PATCH and GET /im/v2/users/{id}; and for
// pages that have no real SDK, POST /sim/login.
//
// Login opens sessions, which nothing ends but a kick; Sessions shows which were
// kicked, when and by which interface. v1 kicks with a block that asks for it
// and not otherwise.
//
// Replies vary on purpose where nobody may rely on anything: the order of
// members changes, unknown members appear, msg is "success" or "success.".
// Where Yunxin's documents are silent or contradict one another, the choice is
// a field of Behaviour or stated here: headers are checked for presence, then
// the AppKey, the clock and the CheckSum, then the frequency, then parameters;
// a repeated nonce is accepted; unknown ids are left out of getUinfos; limits
// count UTF-16 units; a call with the wrong method or path gets HTTP 404.
//
// It shares no code with the client, so that a mistake cannot cancel itself.
package yunxintest
