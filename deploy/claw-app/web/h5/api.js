// The AppKey is compiled into the page, as is the address of the API.
var APP_KEY = '00112233445566778899aabbccddeeff';
var API = '/dollsCatcher/';

// post calls the API with a form. Whatever goes wrong ends in an alert.
function post(path, data, done) {
  var form = Object.keys(data).map(function (name) {
    return encodeURIComponent(name) + '=' + encodeURIComponent(data[name]);
  }).join('&');
  var request = new XMLHttpRequest();
  request.open('POST', API + path);
  request.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded');
  request.onload = function () {
    var answer;
    try {
      answer = JSON.parse(request.responseText);
    } catch (e) {
      answer = {};
    }
    if (answer.code !== 200) {
      alert('出错了 (' + path + ', ' + answer.code + ')');
      return;
    }
    done(answer.data);
  };
  request.onerror = function () { alert('网络错误'); };
  request.send(form);
}

function cookie(name) {
  var found = document.cookie.match('(?:^|; )' + name + '=([^;]*)');
  return found ? decodeURIComponent(found[1]) : '';
}

// enter gets an account and remembers it for a day, for pages of this folder.
function enter(data, done) {
  post('tourist', data, function (me) {
    document.cookie = 'sid=' + encodeURIComponent(me.accid) + '; max-age=86400';
    document.getElementById('name').textContent = me.nickname;
    done(me);
  });
}
