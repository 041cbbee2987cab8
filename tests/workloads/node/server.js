// Node's http server: server.js PORT. Each request is a line of JSON on standard output with what
// the server made of it. /chunked/N answers with N chunks, others with an echo of the body; an
// upgrade is taken, and what follows is sent back; CONNECT is carried out, as a proxy does.
const http = require("node:http");
const net = require("node:net");

const say = (record) => console.log(JSON.stringify(record));

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    const body = Buffer.concat(pieces);
    const [, what, number] = request.url.split("?")[0].split("/");
    const record = {
      method: request.method,
      target: request.url,
      received: body.length,
      trailers: request.trailers,
      traceparent: request.headers.traceparent ?? null,
      client: request.socket.remotePort,
      status: 200,
      sent: body.length,
    };
    response.setHeader("x-server", "node");
    if (what === "chunked") {
      record.sent = 10 * number;
      say(record);
      for (let i = 0; i < number; i++) {
        response.write("0123456789");
        await new Promise((done) => setImmediate(done));
      }
      response.end();
    } else if (what === "status") {
      response.statusCode = record.status = Number(number);
      record.sent = 0;
      say(record);
      response.end();
    } else {
      say(record);
      response.end(body);
    }
  });
});

server.on("upgrade", (request, socket, head) => {
  say({ method: request.method, target: request.url, status: 101 });
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  socket.write(head);
  socket.pipe(socket);
});

server.on("connect", (request, socket, head) => {
  say({ method: request.method, target: request.url, status: 200 });
  const [host, port] = request.url.split(":");
  const behind = net.connect(Number(port), host, () => {
    socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
    behind.write(head);
    behind.pipe(socket);
    socket.pipe(behind);
  });
  behind.on("error", () => socket.destroy());
  socket.on("error", () => behind.destroy());
});

server.listen(Number(process.argv[2]), "127.0.0.1");
