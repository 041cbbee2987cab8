// A server and a client of HTTP/2 in one process. What the client saw is a line of JSON for each request.
'use strict';
const http2 = require('http2');
const port = Number(process.argv[2]);

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  const path = headers[':path'];
  let received = 0;
  stream.on('error', () => {});
  stream.on('data', (part) => { received += part.length; });
  stream.on('end', () => {
    if (path === '/push') {
      stream.pushStream({ ':path': '/pushed' }, (error, pushed) => {
        pushed.respond({ ':status': 200 });
        pushed.end('pushed');
      });
    }
    if (path === '/early') stream.additionalHeaders({ ':status': 103, link: '</style.css>' });
    if (path === '/cancelled') return;
    if (path === '/refused') return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    if (path === '/cut') {
      stream.respond({ ':status': 200 });
      stream.write('some', () => stream.destroy(new Error('broken')));
      return;
    }
    stream.respond({ ':status': path === '/fails' ? 503 : 200 }, { waitForTrailers: path === '/trailers' });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-received': String(received) }));
    stream.end('a'.repeat(received * 2));
  });
});

function ask(session, path, body, cancelAfter) {
  return new Promise((resolve) => {
    const stream = session.request({ ':path': path, ':method': body === undefined ? 'GET' : 'POST' });
    const seen = { path, sent: body === undefined ? 0 : body.length, received: 0 };
    stream.on('response', (headers) => { seen.status = headers[':status']; });
    stream.on('data', (part) => { seen.received += part.length; });
    stream.on('error', () => {});
    stream.on('close', () => {
      seen.reset = stream.rstCode;
      console.log(JSON.stringify(seen));
      resolve();
    });
    if (cancelAfter === undefined) return stream.end(body);
    stream.write(body);
    setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), cancelAfter);
  });
}

server.listen(port, '127.0.0.1', async () => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('stream', (pushed) => pushed.resume());
  await ask(session, '/plain');
  await ask(session, '/large', 'x'.repeat(300000));
  await ask(session, '/push');
  await ask(session, '/early');
  await ask(session, '/trailers', 'abc');
  await ask(session, '/fails', 'x');
  await ask(session, '/refused');
  await ask(session, '/cut');
  await ask(session, '/cancelled', 'abc', 50);
  await Promise.all([...Array(100).keys()].map((n) => ask(session, `/many/${n}`, 'y'.repeat(n + 1))));
  session.close(() => server.close());
});
