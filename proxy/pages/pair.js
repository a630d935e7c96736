(function () {
  var pair = document.getElementById("pair");
  var url = pair.getAttribute("data-pair");
  var done = false, source, silence;
  function hear(state) {
    clearTimeout(silence);
    if (done || state === "waiting") return;
    done = true;
    if (source) source.close();
    if (state === "confirmed") { location.replace(url); return; }
    pair.hidden = true;
    document.getElementById(state === "refused" ? "refused" : "expired").hidden = false;
    document.getElementById("over").hidden = false;
  }
  function poll() {
    if (done) return;
    var x = new XMLHttpRequest();
    x.onloadend = function () {
      var state = "waiting";
      if (x.status === 404) state = "expired";
      try { if (x.status === 200) state = JSON.parse(x.responseText).state; } catch (unreadable) { state = "waiting"; }
      hear(state);
      if (!done) setTimeout(poll, 2000);
    };
    x.open("GET", url + "/wait");
    x.setRequestHeader("Accept", "application/json");
    x.send();
  }
  function giveUp() { if (source) source.close(); source = null; clearTimeout(silence); poll(); }
  if (!window.EventSource) { poll(); return; }
  source = new EventSource(url + "/wait");
  source.onmessage = function (e) { hear(e.data); };
  source.onerror = function () { if (source && source.readyState === 2) giveUp(); };
  // Something on the way may hold the events back.
  silence = setTimeout(giveUp, 5000);
})();
