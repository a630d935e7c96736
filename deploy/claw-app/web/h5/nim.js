// What Yunxin's NIM SDK and the machine at the other end do, played in the page:
// log in with account and token, pass commands on, tell what became of them.
// The real ones talk to Yunxin's hosts; nothing of it passes the app's server.
var NIM = {
  getInstance: function (options) {
    var width = 10, claw = 0, doll = 3, playing = false;
    var later = function (f) { setTimeout(f, 50); };
    later(function () {
      if (options.appKey === APP_KEY && options.account && options.token) {
        options.onconnect();
      } else {
        options.ondisconnect({code: 302});
      }
    });
    return {
      account: options.account,
      token: options.token,
      sendCustomSysMsg: function (message) {
        var command = JSON.parse(message.content).command;
        if (command === 'start') {
          playing = true;
          claw = 0;
        } else if (playing && command === 'left') {
          claw = Math.max(0, claw - 1);
        } else if (playing && command === 'right') {
          claw = Math.min(width - 1, claw + 1);
        }
        var over = playing && command === 'grab';
        if (over) playing = false;
        later(function () {
          options.oncustomsysmsg({from: message.to, playing: playing, claw: claw, doll: doll, over: over, won: over && claw === doll});
        });
      }
    };
  }
};
