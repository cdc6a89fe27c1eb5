#!/usr/bin/env node
'use strict';
// Google Cloud Storage for tests: firebase-tools' storage emulator, behind a front that demands a bearer token of the
// token endpoint beside it, honours ifGenerationMatch=0 (the emulator knows no preconditions) and does what faults say.
//
//   node gcs_emulator.js --key KEY.json [--host 127.0.0.1] [--port 0] [--token-lifetime 3600]
//
// Prints `ready {"endpoint":...}` when it answers, and writes the service-account key to KEY.json. Ends with its
// standard input, so that it never outlives the test that started it.
//   POST /token               the token endpoint (the key's token_uri)
//   POST /__control           {"faults":[...], "revoke":true, "public_read":true}: see fault_server.js
//   GET  /__control           {"requests":[...], "granted":n, "refused":[...], "created":{name: times}}
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const { TokenEndpoint } = require('./token_endpoint.js');
const { Faults, errorBody } = require('./fault_server.js');

function option(name, otherwise) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
}

/// The emulator itself, on a port of its own. Its blobs lie below os.tmpdir(): one folder per process.
async function startEmulator(front) {
  const { StorageEmulator } = require('firebase-tools/lib/emulator/storage');
  const { createApp } = require('firebase-tools/lib/emulator/storage/server');
  const { EmulatorRegistry } = require('firebase-tools/lib/emulator/registry');
  const emulator = new StorageEmulator({ projectId: 'baleen-test', host: front.host, port: front.port, rules: [] });
  // Sessions' addresses are made from the registry: they must lead through the front.
  EmulatorRegistry.set('storage', emulator);
  const app = await createApp('baleen-test', emulator);
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });
}

function readBody(request) {
  return new Promise((resolve, reject) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => resolve(Buffer.concat(parts)));
    request.on('error', reject);
    request.on('aborted', () => reject(new Error('aborted')));
  });
}

function ask(port, method, url, headers, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path: url, headers }, async (answer) => {
      resolve({ status: answer.statusCode, headers: answer.headers, body: await readBody(answer) });
    });
    request.on('error', reject);
    request.end(body);
  });
}

/// The object that a request would create: by its query, or by the metadata part of a multipart body.
function createdName(url, body) {
  const name = url.searchParams.get('name');
  if (name) return name;
  const match = /"name"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(body.subarray(0, 4096).toString('latin1'));
  return match ? JSON.parse(`"${match[1]}"`) : null;
}

async function main() {
  const host = option('host', '127.0.0.1');
  process.env.TMPDIR = fs.mkdtempSync(path.join(os.tmpdir(), 'baleen-gcs-'));
  const removeFolder = () => fs.rmSync(process.env.TMPDIR, { recursive: true, force: true });
  process.on('exit', removeFolder);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
  process.stdin.on('end', () => process.exit(0)).resume();

  const tokens = new TokenEndpoint({ lifetime: Number(option('token-lifetime', 3600)) });
  const faults = new Faults();
  const log = [], options = [];
  const created = {};
  const sessions = new Map(); // upload_id -> {name, onlyIfAbsent}
  let inner = 0;
  let publicRead = false; // as a bucket that allUsers may view

  const exists = async (bucket, name) =>
    (await ask(inner, 'GET', `/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`, {}, null)).status === 200;

  async function control(request, response) {
    if (request.method === 'POST') {
      const wanted = JSON.parse(await readBody(request));
      if (wanted.faults) faults.set(wanted.faults);
      if (wanted.revoke) tokens.revoke();
      if (wanted.public_read !== undefined) publicRead = wanted.public_read;
    }
    const { granted, refused } = tokens;
    response.end(JSON.stringify({ requests: log, options, granted, refused, created, faults: faults.hits }));
  }

  async function store(request, response) {
    const body = await readBody(request);
    const url = new URL(request.url, 'http://front');
    const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname);
    const session = upload && sessions.get(url.searchParams.get('upload_id'));
    const creates = upload !== null && (session ? request.method === 'PUT' : request.method === 'POST');
    const name = creates ? (session ? session.name : createdName(url, body)) : null;
    const onlyIfAbsent = session ? session.onlyIfAbsent : url.searchParams.get('ifGenerationMatch') === '0';
    if (creates && onlyIfAbsent && (await exists(upload[1], name)))
      return { status: 412, headers: {}, body: errorBody(412, 'At least one of the pre-conditions you specified did not hold.') };
    // A session's "how far are you?": the emulator takes a session's bytes in one request only.
    if (session && /^bytes \*\//.test(request.headers['content-range'] || '') && body.length === 0)
      return { status: 308, headers: {}, body: '' };
    const headers = { ...request.headers };
    delete headers.authorization;
    const answer = await ask(inner, request.method, request.url, headers, body);
    if (creates && answer.status === 200) {
      if (answer.headers.location) {
        const id = new URL(answer.headers.location).searchParams.get('upload_id');
        sessions.set(id, { name, onlyIfAbsent });
      } else {
        created[name] = (created[name] || 0) + 1;
      }
    }
    return answer;
  }

  const server = http.createServer(async (request, response) => {
    try {
      if (request.url.startsWith('/__control')) return await control(request, response);
      log.push(`${request.method} ${request.url}`);
      for (const [name, value] of Object.entries(request.headers)) if (/^x-(amz|goog|ms)-/.test(name)) options.push(`${request.method} ${name}: ${value}`);
      if (options.length > 2000) options.splice(0, 1000);
      const fault = faults.take(request);
      if (fault && fault.delay_ms) await new Promise((resolve) => setTimeout(resolve, fault.delay_ms));
      if (fault && fault.cut === 'before') return request.socket.destroy();
      if (fault && fault.status) {
        await readBody(request);
        const headers = fault.retry_after === undefined ? {} : { 'Retry-After': String(fault.retry_after) };
        return response.writeHead(fault.status, headers).end(errorBody(fault.status, 'as the test asked'));
      }
      if (request.url === '/token' && request.method === 'POST') {
        const { status, body } = tokens.answer((await readBody(request)).toString());
        return response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
      }
      const anonymous = publicRead && request.method === 'GET' && request.headers.authorization === undefined;
      if (!anonymous && !tokens.accepts(request.headers.authorization)) {
        await readBody(request);
        return response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end(errorBody(401, 'Invalid Credentials'));
      }
      const { status, headers, body } = await store(request, response);
      if (fault && fault.cut === 'after') return request.socket.destroy();
      delete headers['transfer-encoding'];
      response.writeHead(status, headers).end(body);
    } catch (error) {
      if (!response.headersSent && !request.socket.destroyed) response.writeHead(500).end(errorBody(500, String(error)));
    }
  });
  server.listen(Number(option('port', 0)), host, async () => {
    const { port } = server.address();
    inner = await startEmulator({ host, port });
    const endpoint = `http://${host}:${port}`;
    fs.writeFileSync(option('key', 'key.json'), JSON.stringify(tokens.serviceAccountKey(`${endpoint}/token`)), { mode: 0o600 });
    process.stdout.write(`ready ${JSON.stringify({ endpoint })}\n`);
  });
}

main();
