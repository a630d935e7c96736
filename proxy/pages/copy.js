(function () {
  var button = document.getElementById("copy");
  var address = document.getElementById("address");
  var status = document.getElementById("status");
  function say(name) { status.textContent = button.getAttribute(name); }
  function selectAddress() {
    var range = document.createRange();
    range.selectNodeContents(address);
    var selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }
  function copyBySelection() {
    var copied = false;
    selectAddress();
    try { copied = document.execCommand("copy"); } catch (refused) { copied = false; }
    say(copied ? "data-copied" : "data-by-hand");
  }
  button.addEventListener("click", function () {
    if (!navigator.clipboard || !navigator.clipboard.writeText) { copyBySelection(); return; }
    navigator.clipboard.writeText(address.textContent).then(function () { say("data-copied"); }, copyBySelection);
  });
  button.hidden = false;
})();
