// A server and a client of HTTP/2 in one process: PORT PADDING, where PADDING is `none`, `aligned` or `max`. What
// the client saw of each request is a line of JSON.
'use strict';
const http2 = require('http2');
const { constants } = http2;
const [port, padding] = [Number(process.argv[2]), process.argv[3]];

const options = {
  paddingStrategy: constants[`PADDING_STRATEGY_${padding.toUpperCase()}`],
  settings: { maxHeaderListSize: 1 << 20 },
  maxHeaderListPairs: 1000,
  maxSendHeaderBlockLength: 1 << 20,
  maxDeflateDynamicTableSize: 1 << 16,
};

// Fields of more than 64 KiB, each value unlike the others.
function large(seed) {
  const fields = {};
  for (let n = 0; n < 110; n++) fields[`x-large-${n}`] = `${seed}-${n}-`.repeat(200).slice(0, 1000);
  return fields;
}

const server = http2.createServer(options);
let waiting = [];
server.on('stream', (stream, headers) => {
  const [, what, word] = headers[':path'].split('?')[0].split('/');
  const number = Number(word);
  let received = 0;
  stream.on('error', () => {});
  stream.on('data', (part) => { received += part.length; });
  const answer = (fields, body) => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, 'x-path': headers[':path'], ...fields }, { waitForTrailers: what === 'trailers' });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-received': String(received) }));
    stream.end(body);
  };
  stream.on('end', () => {
    if (what === 'reset') return stream.close(number);
    if (what === 'drop') return stream.respond({ ':status': 200 });
    if (what === 'sleep') return setTimeout(() => answer({}, 'slept'), number);
    if (what === 'large') return answer(large('answer'), 'l');
    if (what === 'wait') {
      // The last of them says how many of all will be processed.
      waiting.push(stream);
      if (waiting.length === number) {
        stream.session.goaway(constants.NGHTTP2_NO_ERROR, waiting[1].id);
        for (const one of waiting.slice(0, 2)) {
          one.respond({ ':status': 200 });
          one.end('in time');
        }
      }
      return;
    }
    if (what === 'table') stream.session.settings({ headerTableSize: number });
    if (what === 'close') stream.session.close();
    answer({ [`x-filler-${headers['x-mark']}`]: 'f'.repeat(100) }, 'a'.repeat(received * 2));
  });
});

let mark = 0;
function ask(session, path, body, fields) {
  return new Promise((resolve) => {
    const query = `m=${mark++}`;
    const end = body === undefined;
    const stream = session.request({
      ':path': `${path}?${query}`, ':method': end ? 'GET' : 'POST', 'x-mark': query, ...fields,
    }, { endStream: end, waitForTrailers: !end });
    const seen = { path, query, sent: end ? 0 : body.length, received: 0, trailers: null };
    stream.on('response', (headers) => {
      seen.status = headers[':status'];
      if (path.startsWith('/drop/')) stream.close(Number(path.split('/')[2]));
    });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sent': String(seen.sent) }));
    stream.on('trailers', (fields) => { seen.trailers = fields['x-received']; });
    stream.on('data', (part) => { seen.received += part.length; });
    stream.on('error', () => {});
    stream.on('close', () => {
      seen.reset = stream.rstCode;
      console.log(JSON.stringify(seen));
      resolve();
    });
    if (!end) stream.end(body);
  });
}

async function session(act) {
  const session = http2.connect(`http://127.0.0.1:${port}`, options);
  session.on('error', () => {});
  const closed = new Promise((resolve) => { session.on('close', resolve); });
  await act(session);
  session.close();
  await closed;
}

server.listen(port, '127.0.0.1', async () => {
  await session(async (session) => {
    for (const size of [0, 1, 2, 255, 256, 257, 1000, 16384, 100000]) {
      await ask(session, `/size/${size}`, 's'.repeat(size));
      await ask(session, '/trailers', 't'.repeat(size));
    }
    await ask(session, '/large', undefined, large('question'));
    await ask(session, '/large', 'l', large('question'));
    await ask(session, '/plain');
  });
  await session(async (session) => {
    // Either side says what table it can take: none, a small, a large one, the usual.
    for (const size of [0, 100, 65536, 0, 4096, 1000]) {
      await Promise.all([...Array(5).keys()].map((n) => ask(session, `/table/${size}`, undefined, { [`x-own-${n}`]: 'o'.repeat(99) })));
      session.settings({ headerTableSize: 4096 - size / 16 });
      await Promise.all([...Array(5).keys()].map((n) => ask(session, '/plain', undefined, { [`x-own-${n}`]: 'p'.repeat(99) })));
    }
  });
  await session(async (session) => {
    for (let code = 1; code <= 14; code++) await ask(session, `/reset/${code}`);
    for (let code = 1; code <= 14; code++) await ask(session, `/drop/${code}`);
    await Promise.all([...Array(100).keys()].map((n) => ask(session, `/sleep/${n % 7}`)));
  });
  // The server ends connections while requests are on their way: after them, and in their midst.
  await session(async (session) => {
    const all = [...Array(10).keys()].map((n) => ask(session, `/sleep/${50 + n}`));
    await Promise.all([...all, ask(session, '/close')]);
  });
  await session(async (session) => {
    await Promise.all([...Array(6).keys()].map(() => ask(session, '/wait/6')));
    // The session would wait for streams that are not to be answered.
    process.exit();
  });
});
