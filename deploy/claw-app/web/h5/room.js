(function () {
  var byId = function (id) { return document.getElementById(id); };
  var index = Number(new URLSearchParams(location.search).get('roomid'));
  var nim, room;

  function show(state, playing) {
    byId('state').textContent = state;
    byId('start').disabled = playing || !nim;
    ['left', 'right', 'grab'].forEach(function (id) { byId(id).disabled = !playing; });
  }

  function refresh(done) {
    post('room/list', {sid: cookie('sid'), limit: 10, offset: 0}, function (data) {
      room = data.list[index];
      byId('room').textContent = room.name;
      byId('online').textContent = room.onlineUserCount;
      if (done) done();
    });
  }

  function command(word) {
    return function () {
      nim.sendCustomSysMsg({scene: 'p2p', to: room.creator, content: JSON.stringify({command: word})});
    };
  }

  function connect(me) {
    nim = window.nim = NIM.getInstance({
      appKey: APP_KEY,
      account: me.accid,
      token: me.imToken,
      onconnect: function () { show('空闲', false); },
      ondisconnect: function (error) {
        alert('连接断开 (' + error.code + ')');
        setTimeout(function () { location.reload(); }, 3000);
      },
      oncustomsysmsg: function (message) {
        byId('claw').style.left = message.claw * 10 + '%';
        byId('doll').style.left = message.doll * 10 + '%';
        show(message.playing ? '游戏中' : '空闲', message.playing);
        if (message.over) {
          byId('result').textContent = message.won ? '抓到了！' : '差一点';
          refresh(); // somebody may have come meanwhile
        }
      }
    });
  }

  byId('start').onclick = function () {
    byId('result').textContent = '';
    byId('tune').play().catch(function () {}); // without sound then
    command('start')();
  };
  byId('left').onclick = command('left');
  byId('right').onclick = command('right');
  byId('grab').onclick = command('grab');

  enter({sid: cookie('sid')}, function (me) {
    refresh(function () { connect(me); });
  });
})();
