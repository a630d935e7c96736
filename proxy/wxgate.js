/* wxgate's script for pages; documented in its source. */
//
// A page may include it, and WXGATE_INJECT does so for pages that know nothing
// of it:
//
//   <script src="/.wxgate/wxgate.js" defer></script>
//
// It defines window.wxgate:
//
//   fetch(input, init)  is window.fetch, but where this origin's gateway says
//                       that a login (401) or name and avatar (403) are missing
//                       the page leaves for it and comes back to the same
//                       address, hash included; the promise stays open.
//   me()                who the session belongs to; null without a session.
//   jssdk([apis])       loads WeChat's JS-SDK if it is not there, configures it
//                       for this page and gives wx. In an app that changes its
//                       address by history.pushState it is called again after
//                       each change. A page's policy has to allow scripts of
//                       res.wx.qq.com and res2.wx.qq.com.
//   yunxin()            what the NIM SDK needs; waits while the account is made.
//
// Errors carry status and, of our own errors, code (the word in "error").
//
// By itself it helps a page whose session ended while it was open, or which the
// browser took from its cache: answers to the page's own fetch and
// XMLHttpRequest calls are looked at, never changed or held up. When the gateway
// refused one for want of a session, and the page itself cannot be had without
// one, the page leaves for login. A page that works without a login stays.
// The attribute data-manual on the script element turns this off.
//
// A page goes to login at most twice within a minute. Beyond that fetch rejects,
// and window gets the event "wxgate:login-required".
//
// Included from another origin (WXGATE_ALLOWED_ORIGINS), it asks the gateway it
// came from and never leaves the page: a login cannot lead back there.
//
// Comment lines and indentation are not served.
(() => {
  'use strict';
  if (window.wxgate) return;

  const script = document.currentScript;
  const base = new URL('.', script ? script.src : location.origin + '/.wxgate/').href;
  const native = window.fetch;
  // WeChat on iOS checks signatures against the address that the page was
  // loaded with, whatever became of it since.
  const landing = location.href.split('#')[0];
  let leaving = 0, quiet = 0, open;

  const pause = ms => new Promise(done => setTimeout(done, ms));
  const failure = (message, more) => Object.assign(new Error('wxgate: ' + message), more);
  const sameOrigin = url => url.startsWith(location.origin + '/');

  // The header is the gateway's word: it lets none of the app's through.
  const header = 'X-Wxgate-Login-Url';
  const wanted = res => sameOrigin(res.url) && res.headers.get(header);

  // Goes to login, unless that has just been tried twice in vain.
  function login(url) {
    const now = Date.now();
    if (now - leaving < 10000) return true;
    try {
      const tries = JSON.parse(sessionStorage.getItem('wxgate') || '[]').filter(t => now - t < 60000);
      if (tries.length < 2) {
        sessionStorage.setItem('wxgate', JSON.stringify(tries.concat(now)));
        leaving = now;
        const to = new URL(url);
        to.searchParams.set('next', location.pathname + location.search + location.hash);
        location.replace(to);
        return true;
      }
    } catch (e) {
      // Without storage nobody could count, and cookies are off as well.
    }
    dispatchEvent(new CustomEvent('wxgate:login-required', {detail: {url}}));
    return false;
  }

  async function guarded(input, init) {
    const res = await native(input, init);
    const url = wanted(res);
    if (!url) return res;
    if (login(url)) return new Promise(() => {});
    throw failure('login required', {status: res.status, code: 'login_required'});
  }

  const own = {credentials: 'include', cache: 'no-store'};
  const ask = name => native(base + name, own);

  async function read(res) {
    const body = await res.json().catch(() => ({}));
    if (res.ok) return body;
    throw failure(body.message || 'status ' + res.status, {status: res.status, code: body.error});
  }

  async function me() {
    const res = await ask('me');
    return res.status === 401 ? null : read(res);
  }

  async function yunxin() {
    for (let tries = 1; ; tries++) {
      const res = await guarded(base + 'yunxin', own);
      if (res.status !== 503 || tries === 6) return read(res);
      await pause(1000 * Math.min(res.headers.get('Retry-After') || 5, 30));
    }
  }

  const load = host => new Promise((done, failed) => {
    const s = document.createElement('script');
    s.src = `https://${host}.wx.qq.com/open/js/jweixin-1.6.0.js`;
    s.onload = done;
    s.onerror = () => failed(failure('the JS-SDK does not load'));
    document.head.appendChild(s);
  });

  async function jssdk(apis) {
    const agent = navigator.userAgent;
    if (!window.wx) {
      if (!/MicroMessenger/i.test(agent)) throw failure('not inside WeChat');
      await load('res').catch(() => load('res2'));
    }
    const page = /iP(hone|ad|od)/.test(agent) ? landing : location.href.split('#')[0];
    const config = await read(await ask('jssdk?url=' + encodeURIComponent(page)));
    return new Promise((done, failed) => {
      wx.config(Object.assign(config, {jsApiList: apis || []}));
      wx.ready(() => done(wx));
      wx.error(res => failed(failure(res.errMsg)));
      // Outside WeChat neither is ever called.
      pause(10000).then(() => failed(failure('WeChat does not answer')));
    });
  }

  window.wxgate = {fetch: guarded, me, jssdk, yunxin};

  if (script && 'manual' in script.dataset || !sameOrigin(base)) return;

  // Asks whether the page is one that needs the session which is gone.
  async function recover() {
    if (open === location.pathname || Date.now() < quiet) return;
    quiet = Date.now() + 5000;
    if (await me()) return;
    const page = await native(location.href, Object.assign({method: 'HEAD'}, own));
    const url = wanted(page);
    if (url) login(url);
    else if (page.status < 500) open = location.pathname;
  }
  const check = () => recover().catch(() => {});

  // What the page gets rejects exactly where the original would.
  window.fetch = function () {
    return native.apply(this, arguments).then(res => {
      if (res.status === 401 && wanted(res)) check();
      return res;
    });
  };

  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function () {
    this.addEventListener('loadend', () => {
      if (this.status === 401 && sameOrigin(this.responseURL) && this.getResponseHeader(header)) check();
    }, {once: true});
    return send.apply(this, arguments);
  };

  addEventListener('pageshow', e => {
    const loaded = performance.getEntriesByType('navigation')[0];
    if (e.persisted || !loaded || !loaded.transferSize) check();
  });
})();
