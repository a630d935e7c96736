// An empty form: this page never finds its own cookie, and takes a new account
// at every visit.
enter({}, function (me) {
  post('room/list', {sid: me.accid, limit: 10, offset: 0}, function (data) {
    data.list.forEach(function (room, index) {
      var tile = document.createElement('li');
      tile.textContent = room.name + (room.liveStatus ? ' · ' + room.onlineUserCount + ' 人' : ' · 休息中');
      if (room.liveStatus) {
        // The number is the room's place in the list, not its id.
        tile.className = 'live';
        tile.onclick = function () { location.href = 'room.html?roomid=' + index; };
      }
      document.getElementById('rooms').appendChild(tile);
    });
  });
});
