// The game's WebSocket: frames in, commands out, and connecting again.

import { api } from './api.js';

/** onHello({n, plays}), onFrame(frame), onLost(reason) report;
    the result's send(command) plays. */
export function connect({ onHello, onFrame, onLost }) {
  const address = new URL('/play', location.href);
  address.protocol = address.protocol.replace('http', 'ws');
  let socket;
  let failures = 0;

  function open() {
    socket = new WebSocket(address);
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === 'hello') {
        failures = 0;
        onHello(message);
      } else if (message.type === 'state') {
        onFrame(message);
      }
    };
    socket.onclose = async () => {
      onLost();
      // A refused handshake tells a script nothing. A call does: if the session
      // has ended it is answered 401, and the page goes to the login.
      await api('/api/shelf').catch((error) => onLost(error.code));
      setTimeout(open, Math.min(8000, 500 * 2 ** failures++));
    };
  }
  open();
  return {
    send(command) {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command));
    },
  };
}
