// Stand-in for WeChat's page script, served by the simulator.
(() => {
  "use strict";
  const sim = new URL("/sim/jsconfig", document.currentScript.src);
  const landing = location.href.split("#")[0];
  let settled = null; // wx.ready runs once however often wx.config is called
  const waiting = {ready: [], error: []};
  const settle = (kind, value) => {
    if (settled && settled.kind === "ready") return;
    settled = {kind, value};
    for (const call of waiting[kind].splice(0)) call(value);
  };
  window.wx = window.jWeixin = {
    config(c) {
      const form = new URLSearchParams({
        appId: c.appId, timestamp: c.timestamp, nonceStr: c.nonceStr, signature: c.signature,
        landing, current: location.href.split("#")[0],
      });
      fetch(sim, {method: "POST", body: form, credentials: "include"}).then(r => r.json()).then(
        r => settle(r.errMsg === "config:ok" ? "ready" : "error", r),
        () => settle("error", {errMsg: "config:fail"}));
    },
    ready(call) { settled && settled.kind === "ready" ? call(settled.value) : waiting.ready.push(call); },
    error(call) { settled && settled.kind === "error" ? call(settled.value) : waiting.error.push(call); },
  };
})();
