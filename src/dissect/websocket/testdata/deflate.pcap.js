// How deflate.pcap was made: npm install ws (8); node deflate.pcap.js, while tcpdump -i lo 'tcp port 14777' listened.
const { WebSocket, WebSocketServer } = require('ws');
const deflate = { threshold: 0, serverMaxWindowBits: 12, clientMaxWindowBits: 11 };
const server = new WebSocketServer({ port: 14777, perMessageDeflate: deflate });
server.on('connection', (ws) => {
  let n = 0;
  ws.on('message', (m, binary) => {
    ws.send(JSON.stringify({ echo: n++, size: m.length, text: binary ? null : m.toString().slice(0, 200) }));
    if (n == 4) {
      ws.ping('are you there');
      ws.send(Buffer.from([...Array(256).keys()]));
      ws.send('plain', { compress: false });
    }
  });
});
const ws = new WebSocket('ws://127.0.0.1:14777/live?token=secret', ['chat.v2'], { perMessageDeflate: { threshold: 0 } });
const items = (i) => Array.from({ length: 20 }, (_, k) => ({ id: k, name: 'item ' + ((k * 7919 + i) % 101) }));
let got = 0;
ws.on('open', () => {
  for (let i = 0; i < 3; i++) ws.send(JSON.stringify({ type: 'update', number: i, items: items(i) }));
  ws.send('frag ', { fin: false });
  ws.send('ments', { fin: true });
});
ws.on('message', () => { if (++got == 6) { ws.close(1000, 'done'); server.close(); } });
