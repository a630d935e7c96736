(function () {
  var frame = document.getElementById("frame");
  var whole = frame.getAttribute("data-whole");
  var patience = 10000;
  var timer = setTimeout(leave, patience);
  function leave() { clearTimeout(timer); if (whole) location.replace(whole); }
  function stay() { clearTimeout(timer); }
  frame.addEventListener("load", stay);
  frame.addEventListener("error", leave);
  document.addEventListener("securitypolicyviolation", function (e) { if (/^frame-src|^child-src/.test(e.effectiveDirective)) leave(); });
  // A frame fires load for the browser's own error page too, so ask aside whether WeChat answers at all.
  if (window.fetch) fetch(frame.src, { mode: "no-cors", credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" }).catch(leave);
})();
