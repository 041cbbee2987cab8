// gRPC-Web over HTTP/1.1: `calls.js connect PORT` by @connectrpc/connect-node, binary; `calls.js text PORT` by
// grpc-web, Google's client for browsers, base64 over an XMLHttpRequest for Node. Without generated code. Each says of
// each call what came of it, a line of JSON on standard output.
'use strict';
const [kind, port] = process.argv.slice(2);
const base = `http://127.0.0.1:${port}`;
const SERVICE = 'workload.v1.Calls';
const STREAMS = ['Count', 'Many'];
const say = (report) => process.stdout.write(`${JSON.stringify(report)}\n`);
const hex = (number, width) => number.toString(16).padStart(width, '0');

// How each client makes a call with the bytes, or the number, that are asked for; it counts messages by `heard`, and
// gives code and message.
const clients = {
  connect() {
    const { create, createFileRegistry } = require('@bufbuild/protobuf');
    const { FileDescriptorProto_Syntax, FileDescriptorSetSchema, file_google_protobuf_wrappers: wrappers } = require('@bufbuild/protobuf/wkt');
    const { ConnectError, createClient } = require('@connectrpc/connect');
    const { createGrpcWebTransport } = require('@connectrpc/connect-node');
    const method = (name, input, output) => ({ name, inputType: `.google.protobuf.${input}`, outputType: `.google.protobuf.${output}`, serverStreaming: STREAMS.includes(name) });
    const file = {
      name: 'calls.proto', package: 'workload.v1', syntax: 'proto3', dependency: [wrappers.proto.name],
      service: [{
        name: 'Calls',
        method: [
          method('Echo', 'BytesValue', 'BytesValue'), method('Nothing', 'BytesValue', 'BytesValue'), method('Fail', 'UInt32Value', 'BytesValue'),
          method('Count', 'UInt32Value', 'BytesValue'), method('Many', 'UInt32Value', 'BytesValue'),
        ],
      }],
    };
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [wrappers.proto, file] }));
    const agent = new (require('http').Agent)({ keepAlive: true });
    const client = createClient(registry.getService(SERVICE), createGrpcWebTransport({ baseUrl: base, httpVersion: '1.1', nodeOptions: { agent } }));
    return async (name, value, headers, heard) => {
      const input = typeof value === 'number' ? { value } : { value: new Uint8Array(value.length) };
      const call = client[name[0].toLowerCase() + name.slice(1)];
      try {
        if (STREAMS.includes(name)) for await (const _ of call(input, { headers })) heard();
        else heard(await call(input, { headers }));
        return [0];
      } catch (error) {
        const { code, rawMessage } = ConnectError.from(error);
        return [code, rawMessage || undefined];
      }
    };
  },
  text() {
    global.XMLHttpRequest = require('xhr2');
    const web = require('grpc-web');
    const client = new web.GrpcWebClientBase({ format: 'text' });
    const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
    const encode = (value) => (typeof value === 'number' ? Uint8Array.from([8, ...varint(value)]) : Buffer.concat([Buffer.from([10, ...varint(value.length)]), value]));
    return (name, value, headers, heard) => new Promise((resolve) => {
      const path = `/${SERVICE}/${name}`;
      const streams = STREAMS.includes(name);
      const of = streams ? web.MethodType.SERVER_STREAMING : web.MethodType.UNARY;
      const method = new web.MethodDescriptor(path, of, Object, Object, encode, (bytes) => bytes);
      if (!streams) {
        client.rpcCall(base + path, value, headers, method, (error, answer) => {
          if (answer) heard();
          resolve(error ? [error.code, error.message || undefined] : [0]);
        });
        return;
      }
      const stream = client.serverStreaming(base + path, value, headers, method);
      stream.on('data', () => heard());
      stream.on('error', ({ code, message }) => resolve([code, message || undefined]));
      stream.on('end', () => resolve([0]));
    });
  },
};

async function main() {
  const ask = clients[kind]();
  const call = async (marker, name, value) => {
    const report = { marker: hex(marker, 16), method: `/${SERVICE}/${name}`, sent: 1, received: 0 };
    const headers = { traceparent: `00-${hex(1000 + marker, 32)}-${report.marker}-01`, 'x-binary-bin': 'AP8B' };
    const begun = process.hrtime.bigint();
    const [code, message] = await ask(name, value, headers, () => { report.received++; });
    say({ ...report, nanoseconds: Number(process.hrtime.bigint() - begun), code, message });
  };
  await call(1, 'Echo', Buffer.alloc(10));
  await call(2, 'Echo', Buffer.alloc(100000));
  await call(3, 'Echo', Buffer.alloc(1 << 20));
  for (let code = 1; code <= 16; code++) await call(9 + code, 'Fail', code);
  await call(31, 'Count', 12);
  await call(32, 'Count', 0);
  await call(33, 'Count', 60);
  await call(34, 'Many', 3000);
  await call(50, 'Nothing', Buffer.alloc(1));
  // As large as a message is that begins anywhere in a group of base64, and ends there.
  for (let n = 0; n < 40; n++) await call(1000 + n, 'Echo', Buffer.alloc(n));
  for (let n = 0; n < 10; n++) await call(1100 + n, 'Echo', Buffer.alloc(1520 + n));
}

main();
