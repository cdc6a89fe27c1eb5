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
  let received = 0; // bytes of bodies, also of those that were cut
  const created = {};
  const sessions = new Map(); // upload_id -> {name, onlyIfAbsent}
  const buckets = new Map(); // name -> {lifecycle, metageneration}: the emulator keeps no settings of buckets
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
    response.end(JSON.stringify({ requests: log, options, received, granted, refused, created, faults: faults.hits }));
  }

  /// Takes a session's bytes as they come. What a cut left is kept in whole units of 256 KiB, as Google does.
  /// `holdAt`: no more than so many, then nothing happens any more.
  function receive(request, session, holdAt) {
    const cut = Buffer.concat(session.parts);
    const before = session.cut ? cut.subarray(0, cut.length - (cut.length % (256 * 1024))) : cut;
    const parts = [before];
    session.parts = parts;
    session.cut = true; // until this request has ended
    let have = before.length;
    let at = Number(/^bytes (\d+)-/.exec(request.headers['content-range'] || '')?.[1] ?? have);
    return new Promise((resolve, reject) => {
      request.on('data', (part) => {
        received += part.length;
        const fresh = part.subarray(Math.max(0, have - at));
        at += part.length;
        parts.push(fresh);
        have += fresh.length;
        if (holdAt !== undefined && have >= holdAt) request.pause();
      });
      request.on('end', () => {
        session.cut = false;
        session.have = Buffer.concat(parts);
        session.parts = [session.have]; // the pieces themselves would be kept beside it
        resolve(session.have);
      });
      request.on('close', () => request.complete || reject(new Error('aborted')));
    });
  }

  async function store(request, fault) {
    const url = new URL(request.url, 'http://front');
    const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname);
    const session = upload && sessions.get(url.searchParams.get('upload_id'));
    const body = session ? await receive(request, session, fault?.hold_at) : await readBody(request);
    if (!session) received += body.length;
    if (session?.done) return session.done;
    const creates = upload !== null && (session ? request.method === 'PUT' : request.method === 'POST');
    const name = creates ? (session ? session.name : createdName(url, body)) : null;
    const onlyIfAbsent = session ? session.onlyIfAbsent : url.searchParams.get('ifGenerationMatch') === '0';
    if (creates && onlyIfAbsent && (await exists(upload[1], name)))
      return { status: 412, headers: {}, body: errorBody(412, 'At least one of the pre-conditions you specified did not hold.') };
    const headers = { ...request.headers };
    delete headers.authorization;
    let content = body;
    if (session && creates) {
      // The emulator takes a session's bytes in one request only: what came in several, or was cut, is kept here.
      const unfinished = () => ({ status: 308, headers: session.have.length === 0 ? {} : { Range: `bytes=0-${session.have.length - 1}` }, body: '' });
      const total = Number(/\/(\d+)$/.exec(request.headers['content-range'] || '')?.[1] ?? body.length);
      if (session.have.length < total) return unfinished();
      content = session.have;
      if (total > 0) headers['content-range'] = `bytes 0-${total - 1}/${total}`;
      headers['content-length'] = String(total);
    }
    const answer = await ask(inner, request.method, request.url, headers, content);
    if (creates && answer.status === 200) {
      if (answer.headers.location) {
        const id = new URL(answer.headers.location).searchParams.get('upload_id');
        sessions.set(id, { name, onlyIfAbsent, parts: [], have: Buffer.alloc(0) });
      } else {
        created[name] = (created[name] || 0) + 1;
        if (session) {
          session.done = answer;
          session.parts = []; // its bytes are the emulator's now
          session.have = Buffer.alloc(0);
        }
      }
    }
    return answer;
  }

  /// Settings of a bucket: reading them, and changing them on the condition that nobody else has. Null for other paths.
  async function settings(request) {
    const url = new URL(request.url, 'http://front');
    const name = /^\/storage\/v1\/b\/([^/]+)$/.exec(url.pathname)?.[1];
    if (name === undefined || !['GET', 'PATCH'].includes(request.method)) return null;
    if (!buckets.has(name)) buckets.set(name, { metageneration: 1 });
    const bucket = buckets.get(name);
    if (request.method === 'PATCH') {
      const wanted = JSON.parse((await readBody(request)).toString());
      const seen = url.searchParams.get('ifMetagenerationMatch');
      if (seen !== null && seen !== String(bucket.metageneration))
        return { status: 412, headers: {}, body: errorBody(412, 'At least one of the pre-conditions you specified did not hold.') };
      if (wanted.lifecycle !== undefined) bucket.lifecycle = wanted.lifecycle;
      bucket.metageneration += 1;
    }
    const body = { kind: 'storage#bucket', name, metageneration: String(bucket.metageneration), lifecycle: bucket.lifecycle };
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
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
      const { status, headers, body } = (await settings(request)) || (await store(request, fault));
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
