#!/usr/bin/env node
'use strict';
// Azure Blob Storage for tests: Azurite, which verifies keys, signatures and permissions itself, behind a front that does
// what faults say and knows bearer tokens: those that its own services handed out are changed for a signature.
//
//   node azure_emulator.js [--host 127.0.0.1] [--port 0] [--container NAME]
//
// Prints `ready {"endpoint":...,"account":...,"key":...,"sas":...,"read_only_sas":...,"container":...}` when it answers.
// Ends with its standard input, so that it never outlives the test that started it.
//   POST /TENANT/oauth2/v2.0/token           Entra ID: a federated token or a client's secret for a bearer token
//   GET  /metadata/identity/oauth2/token     the machine's managed identity
//   POST /__control   {"faults":[...], "revoke":true, "clock":SECONDS, "clear":true}
//   GET  /__control   {"requests":[...], "granted":n}
const crypto = require('crypto');
const http = require('http');
const path = require('path');
const { spawn } = require('child_process');
const azure = require('@azure/storage-blob');
const { Faults } = require('./fault_server.js');

const kAccount = 'baleentest';

function option(name, otherwise) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
}

function readBody(stream) {
  return new Promise((resolve, reject) => {
    const parts = [];
    stream.on('data', (part) => parts.push(part));
    stream.on('end', () => resolve(Buffer.concat(parts)));
    stream.on('error', reject);
    stream.on('aborted', () => reject(new Error('aborted')));
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

/// Azurite on a port of its own, in memory.
function startAzurite(key) {
  const main = path.join(__dirname, 'node_modules/azurite/dist/src/blob/main.js');
  const child = spawn(process.execPath, [main, '--blobHost', '127.0.0.1', '--blobPort', '0', '--inMemoryPersistence', '--loose', '--skipApiVersionCheck', '--disableTelemetry'], {
    env: { ...process.env, AZURITE_ACCOUNTS: `${kAccount}:${key}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.on('exit', () => child.kill());
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      const found = /listens on http:\/\/127\.0\.0\.1:(\d+)/.exec(text);
      if (found) resolve(Number(found[1]));
    });
    child.on('exit', (code) => reject(new Error(`azurite ended with ${code}: ${text}`)));
  });
}

async function main() {
  const host = option('host', '127.0.0.1');
  const container = option('container', 'baleen-test');
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
  process.stdin.on('end', () => process.exit(0)).resume();

  const key = crypto.randomBytes(64).toString('base64');
  const inner = await startAzurite(key);
  const credential = new azure.StorageSharedKeyCredential(kAccount, key);
  const service = new azure.BlobServiceClient(`http://127.0.0.1:${inner}/${kAccount}`, credential);
  await service.createContainer(container);
  const signature = (permissions) =>
    azure.generateBlobSASQueryParameters({ containerName: container, permissions: azure.ContainerSASPermissions.parse(permissions), startsOn: new Date(Date.now() - 3600e3), expiresOn: new Date(Date.now() + 3600e3) }, credential).toString();
  const own = signature('racwdl'); // for bearers

  const faults = new Faults();
  const log = [], options = [];
  let received = 0; // bytes of bodies that came whole
  const tokens = new Set();
  let granted = 0;
  let clock = 0;

  function grant() {
    granted += 1;
    const token = crypto.randomBytes(32).toString('base64url');
    tokens.add(token);
    return [200, JSON.stringify({ token_type: 'Bearer', access_token: token, expires_in: 3599 })];
  }

  async function identity(request) {
    if (request.url === '/a-tenant/oauth2/v2.0/token' && request.method === 'POST') {
      const form = new URLSearchParams((await readBody(request)).toString());
      const federated =
        form.get('client_assertion_type') === 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' &&
        form.get('client_assertion') === 'a federated token';
      const right = form.get('grant_type') === 'client_credentials' && form.get('client_id') === 'a-client' &&
        form.get('scope') === 'https://storage.azure.com/.default' && (federated || form.get('client_secret') === 'a secret');
      if (!right) return [401, JSON.stringify({ error: 'invalid_client', error_description: 'AADSTS7000215: Invalid client secret provided.' })];
      return grant();
    }
    if (request.url.startsWith('/metadata/identity/oauth2/token')) {
      const url = new URL(request.url, 'http://front');
      if (request.headers.metadata !== 'true' || url.searchParams.get('resource') !== 'https://storage.azure.com/')
        return [400, JSON.stringify({ error: 'invalid_request' })];
      return grant();
    }
    return null;
  }

  const server = http.createServer(async (request, response) => {
    try {
      if (request.url.endsWith('/__control')) {
        if (request.method === 'POST') {
          const wanted = JSON.parse(await readBody(request));
          if (wanted.faults) faults.set(wanted.faults);
          if (wanted.revoke) tokens.clear();
          if (wanted.clock !== undefined) clock = wanted.clock;
          if (wanted.clear) log.length = received = 0;
        }
        return response.end(JSON.stringify({ requests: log, options, received, granted, faults: faults.hits }));
      }
      log.push(`${request.method} ${request.url}`);
      for (const [name, value] of Object.entries(request.headers)) if (/^x-(amz|goog|ms)-/.test(name)) options.push(`${request.method} ${name}: ${value}`);
      if (options.length > 2000) options.splice(0, 1000);
      response.setHeader('Date', new Date(Date.now() + clock * 1000).toUTCString());
      const fault = faults.take(request);
      if (fault && fault.delay_ms) await new Promise((resolve) => setTimeout(resolve, fault.delay_ms));
      if (fault && fault.cut === 'before') return request.socket.destroy();
      if (fault && fault.status) {
        await readBody(request);
        const headers = { 'x-ms-error-code': fault.code || 'ServerBusy' };
        if (fault.retry_after !== undefined) headers['Retry-After'] = String(fault.retry_after);
        return response.writeHead(fault.status, headers).end();
      }
      const said = await identity(request);
      if (said !== null) return response.writeHead(said[0], { 'Content-Type': 'application/json' }).end(said[1]);
      const body = await readBody(request);
      received += body.length;
      const headers = { ...request.headers };
      let { url } = request;
      const bearer = /^Bearer (.+)$/.exec(headers.authorization || '');
      if (bearer) {
        if (!tokens.has(bearer[1])) return response.writeHead(401, { 'x-ms-error-code': 'InvalidAuthenticationInfo' }).end();
        delete headers.authorization;
        url += `${url.includes('?') ? '&' : '?'}${own}`;
      } else if (headers['x-ms-date'] && Math.abs(new Date(headers['x-ms-date']) - Date.now() - clock * 1000) > 15 * 60e3) {
        return response.writeHead(403, { 'x-ms-error-code': 'AuthenticationFailed' }).end(); // Azurite looks at no clock
      }
      const answer = await ask(inner, request.method, url, headers, body);
      if (fault && fault.cut === 'after') return request.socket.destroy();
      delete answer.headers['transfer-encoding'];
      delete answer.headers.date;
      response.writeHead(answer.status, answer.headers).end(request.method === 'HEAD' ? undefined : answer.body);
    } catch (error) {
      if (!response.headersSent && !request.socket.destroyed) response.writeHead(500, { 'x-ms-error-code': 'InternalError' }).end(String(error));
    }
  });
  server.listen(Number(option('port', 0)), host, () => {
    const endpoint = `http://${host}:${server.address().port}/${kAccount}`;
    const identityEndpoint = `http://${host}:${server.address().port}`;
    process.stdout.write(`ready ${JSON.stringify({ endpoint, identity: identityEndpoint, account: kAccount, key, sas: signature('racwdl'), read_only_sas: signature('rl'), container })}\n`);
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
