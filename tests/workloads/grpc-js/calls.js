// gRPC by @grpc/grpc-js: `calls.js server PORT` or `calls.js client PORT`, without generated code. Each says of each
// call what came of it, a line of JSON on standard output. Messages are bytes; numbers are decimal.
'use strict';
const grpc = require('@grpc/grpc-js');
const SERVICE = 'workload.v1.Calls';
const [side, port] = process.argv.slice(2);
const say = (report) => process.stdout.write(`${JSON.stringify(report)}\n`);
const bytes = (n) => Buffer.alloc(n);
const same = (value) => value;

function serve() {
  // Each handler gets the call's messages one by one, then null and the last one as a number.
  const handler = (method, take) => (call) => {
    const report = { marker: call.metadata.get('traceparent')[0].slice(36, 52), method: `/${SERVICE}/${method}`, sent: 0, received: 0 };
    const binary = call.metadata.get('x-binary-bin')[0];
    if (!binary.equals(Buffer.from([0, 255, 1]))) throw new Error('binary metadata');
    const write = (message) => { report.sent++; call.write(message); };
    let over = false;
    const end = (code, details) => {
      if (over) return;
      over = true;
      say({ ...report, code, message: details });
      if (code) call.emit('error', { code, details });
      else call.end();
    };
    let last;
    call.on('data', (message) => {
      report.received++;
      last = message;
      take(message, write, end, call);
    });
    call.on('end', () => take(null, write, end, call, last && Number(last)));
    // Of a call that the client has given up, the server knows no code. (It hears of others' ends too.)
    call.on('cancelled', () => {
      if (!over) say(report);
      over = true;
    });
    call.on('error', () => {});
  };
  const echo = (message, write, end) => (message ? write(message) : end(0));
  const total = new WeakMap();
  const handlers = {
    Echo: echo,
    Chat: echo,
    Fail: (message, write, end, call, number) => { if (!message) end(number, 'no such thing: 50% of \u2603'); },
    Slow: (message, write, end, call, number) => {
      if (!message) setTimeout(() => { if (!call.cancelled) { write(bytes(1)); end(0); } }, number);
    },
    Collect: (message, write, end, call) => {
      if (message) return total.set(call, (total.get(call) || 0) + message.length);
      write(Buffer.from(String(total.get(call))));
      end(0);
    },
    Count: (message, write, end, call, number) => {
      if (message) return;
      for (let n = 0; n < number; n++) write(bytes(n * 3000));
      end(0);
    },
  };
  const server = new grpc.Server();
  const [service, all] = [{}, {}];
  for (const [name, take] of Object.entries(handlers)) {
    service[name] = {
      path: `/${SERVICE}/${name}`, requestStream: true, responseStream: true,
      requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
    };
    all[name] = handler(name, take);
  }
  server.addService(service, all);
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => { if (error) throw error; });
}

function call(client, marker, method, messages, { timeout, cancel } = {}) {
  return new Promise((resolve) => {
    const hex = (number, width) => number.toString(16).padStart(width, '0');
    const report = { marker: hex(marker, 16), method: `/${SERVICE}/${method}`, sent: 0, received: 0 };
    const metadata = new grpc.Metadata();
    metadata.set('traceparent', `00-${hex(1000 + marker, 32)}-${report.marker}-01`);
    metadata.set('x-binary-bin', Buffer.from([0, 255, 1]));
    const begun = process.hrtime.bigint();
    const options = timeout ? { deadline: Date.now() + timeout } : {};
    const stream = client.makeBidiStreamRequest(report.method, same, same, metadata, options);
    stream.on('data', () => { report.received++; });
    stream.on('error', () => {});
    stream.on('status', ({ code, details }) => {
      say({ ...report, nanoseconds: Number(process.hrtime.bigint() - begun), code, message: details || undefined });
      resolve();
    });
    for (const message of messages) {
      report.sent++;
      stream.write(message);
    }
    stream.end();
    if (cancel) setTimeout(() => stream.cancel(), cancel);
  });
}

async function kinds(client, compressing) {
  await call(client, 1, 'Echo', [bytes(10)]);
  await call(client, 2, 'Echo', [bytes(100000)]);
  await call(compressing, 3, 'Echo', [bytes(5000)]);
  for (let code = 1; code <= 16; code++) await call(client, 9 + code, 'Fail', [Buffer.from(String(code))]);
  await call(client, 30, 'Collect', [bytes(1), bytes(0), bytes(70000), bytes(3)]);
  await call(client, 31, 'Count', [Buffer.from('12')]);
  await call(client, 32, 'Chat', [bytes(1), bytes(0), bytes(40000), bytes(3)]);
  await call(client, 33, 'Chat', []);
  await call(client, 40, 'Slow', [Buffer.from('5000')], { timeout: 100 });
  await call(client, 41, 'Slow', [Buffer.from('5000')], { cancel: 50 });
  await call(client, 42, 'Slow', [Buffer.from('5000')], { timeout: 10000, cancel: 50 });
  await call(client, 43, 'Slow', [Buffer.from('1')], { timeout: 5000 });
  await call(client, 50, 'Nothing', [bytes(1)]);
}

async function ask() {
  // Channels with options of their own do not share a connection.
  const connect = (options) => new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1, ...options });
  const compressing = connect({ 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
  for (const [streams, each, first] of [[1, 20, 1000], [2, 20, 2000], [8, 10, 3000], [100, 3, 4000]]) {
    const client = connect({});
    if (first === 1000) await kinds(client, compressing);
    await Promise.all([...Array(streams).keys()].map(async (stream) => {
      for (let n = 0; n < each; n++) await call(client, first + stream * each + n, 'Echo', [bytes(n)]);
    }));
    client.close();
  }
  compressing.close();
}

if (side === 'server') serve();
else ask();
