#!/usr/bin/env node
'use strict';
// Amazon S3 for tests: s3rver, behind a front that verifies each signature with Amazon's own signer (s3rver does not),
// honours If-None-Match on PUT, checks CRC32Cs, knows ListParts, AbortMultipartUpload and what a policy may deny, makes the pages of
// ListObjectsV2 (s3rver's tokens fail with newer Node.js, and it forgets common prefixes of deeper names), and does what
// faults say. Beside it stand the services that keys come from: STS, EC2's and the container's metadata.
//
//   node s3_emulator.js [--host 127.0.0.1] [--port 0] [--bucket NAME] [--region NAME]
//
// Prints `ready {"endpoint":...,"access_key":...,"secret_key":...,"bucket":...}` when it answers. Ends with its standard
// input, so that it never outlives the test that started it.
//   POST /__control   {"faults":[...], "deny":["s3:PutObject"], "expire":true, "lifetime":3600, "clock":SECONDS, "locked":true,
//                     "checksums":"checked"|"unknown"|"refused"|"forgotten"}
//   GET  /__control   {"requests":[...], "refused":[...], "granted":n, "uploads":n}
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const { Faults } = require('./fault_server.js');
const { checkSignature } = require('./signature_check.js');

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

// By eight bytes at a time: table k has what a byte becomes k bytes later.
const kCrcTables = new Int32Array(8 * 256);
for (let i = 0; i < 256; i += 1) {
  let crc = i;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  kCrcTables[i] = crc;
}
for (let i = 256; i < 8 * 256; i += 1) kCrcTables[i] = kCrcTables[kCrcTables[i - 256] & 255] ^ (kCrcTables[i - 256] >>> 8);
/// CRC-32C as headers have it.
function crc32c(bytes) {
  const t = kCrcTables;
  let crc = -1;
  let i = 0;
  for (; i + 8 <= bytes.length; i += 8) {
    const a = crc ^ (bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24));
    crc = t[1792 + (a & 255)] ^ t[1536 + ((a >>> 8) & 255)] ^ t[1280 + ((a >>> 16) & 255)] ^ t[1024 + (a >>> 24)]
      ^ t[768 + bytes[i + 4]] ^ t[512 + bytes[i + 5]] ^ t[256 + bytes[i + 6]] ^ t[bytes[i + 7]];
  }
  for (; i < bytes.length; i += 1) crc = t[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  const out = Buffer.alloc(4);
  out.writeInt32BE(~crc);
  return out.toString('base64');
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

function errorXml(code, message, more = '') {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message>${more}</Error>`;
}

/// How S3 writes a name with encoding-type=url: a blank is a plus.
const urlEncoded = (text) => encodeURIComponent(text).replace(/%20/g, '+').replace(/%2F/g, '/');

/// ListObjectsV2 over all objects of a bucket, in order: `Contents` and `CommonPrefixes` count to max-keys alike.
function listPage(query, objects) {
  const prefix = query.get('prefix') || '';
  const delimiter = query.get('delimiter') || '';
  const token = query.get('continuation-token');
  const after = token ? Buffer.from(token, 'base64url').toString() : query.get('start-after') || '';
  const most = Math.min(Number(query.get('max-keys') || 1000), 1000);
  const name = query.get('encoding-type') === 'url' ? urlEncoded : (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  const entries = new Map(); // what a page counts -> its XML and the last name that it stands for
  for (const { key, xml } of objects) {
    if (!key.startsWith(prefix) || Buffer.compare(Buffer.from(key), Buffer.from(after)) <= 0) continue;
    const at = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
    if (at < 0) entries.set(key, { xml: `<Contents><Key>${name(key)}</Key>${xml}</Contents>`, last: key });
    else {
      const common = key.slice(0, at + delimiter.length);
      entries.set(common, { xml: `<CommonPrefixes><Prefix>${name(common)}</Prefix></CommonPrefixes>`, last: key });
    }
  }
  const all = [...entries.values()];
  const page = all.slice(0, most);
  const more = all.length > most;
  const next = more ? `<NextContinuationToken>${Buffer.from(page[page.length - 1].last).toString('base64url')}</NextContinuationToken>` : '';
  const encoding = query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : '';
  return `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${encoding}<IsTruncated>${more}</IsTruncated>${next}${page.map((entry) => entry.xml).join('')}</ListBucketResult>`;
}

/// What permission a request needs.
function actionOf(method, url) {
  if (url.searchParams.has('lifecycle')) return method === 'PUT' ? 's3:PutLifecycleConfiguration' : 's3:GetLifecycleConfiguration';
  const object = url.pathname.split('/').length > 2 && url.pathname.split('/')[2] !== '';
  if (!object) return 's3:ListBucket';
  if (method === 'GET' && url.searchParams.has('uploadId')) return 's3:ListMultipartUploadParts';
  if (method === 'GET' || method === 'HEAD') return 's3:GetObject';
  if (method === 'DELETE') return url.searchParams.has('uploadId') ? 's3:AbortMultipartUpload' : 's3:DeleteObject';
  return 's3:PutObject';
}

async function main() {
  const host = option('host', '127.0.0.1');
  const bucket = option('bucket', 'baleen-test');
  const region = option('region', 'us-east-1');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'baleen-s3-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
  process.stdin.on('end', () => process.exit(0)).resume();

  const S3rver = require('s3rver');
  const inner = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: folder, configureBuckets: [{ name: bucket }] });
  const innerPort = (await inner.run()).port;

  const lasting = { access: 'S3RVER', secret: crypto.randomBytes(20).toString('base64') };
  const temporary = new Map(); // access key -> {secret, token, expires}
  const faults = new Faults();
  const uploads = new Map(); // upload id -> {path, parts: Map(number -> {size, etag})}
  const log = [], options = [];
  let received = 0; // bytes of bodies that came whole
  const refused = [];
  let lifecycle = null; // the bucket's rules, as they were put
  let deny = [];
  let locked = false; // as a bucket whose objects are kept under Object Lock
  let checksums = 'checked'; // as Amazon; 'unknown': headers of checksums are not heeded; 'refused'; 'forgotten': parts' are not checked
  let lifetime = 3600;
  let clock = 0;
  let granted = 0;
  const now = () => Date.now() + clock * 1000;
  const lookup = (access) => (access === lasting.access ? { secret: lasting.secret } : temporary.get(access));

  function grant() {
    granted += 1;
    const keys = { access: `ASIA${crypto.randomBytes(8).toString('hex').toUpperCase()}`, secret: crypto.randomBytes(20).toString('base64'), token: crypto.randomBytes(40).toString('base64'), expires: now() + lifetime * 1000 };
    temporary.set(keys.access, keys);
    return keys;
  }
  const end = (keys) => new Date(keys.expires).toISOString();

  async function sts(request, body) {
    const form = new URLSearchParams(body.toString());
    const action = form.get('Action');
    if (action === 'AssumeRoleWithWebIdentity') {
      if (form.get('WebIdentityToken') !== 'a web identity')
        return [400, `<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>wrong token</Message></Error></ErrorResponse>`];
    } else if (action === 'AssumeRole') {
      const wrong = await checkSignature({ request, body, lookup, region, now: now() });
      if (wrong !== null || form.get('ExternalId') !== 'an external id')
        return [403, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>`];
    } else {
      return [400, '<ErrorResponse><Error><Code>InvalidAction</Code></Error></ErrorResponse>'];
    }
    const keys = grant();
    return [200, `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>` +
      `<AccessKeyId>${keys.access}</AccessKeyId><SecretAccessKey>${keys.secret}</SecretAccessKey><SessionToken>${keys.token}</SessionToken>` +
      `<Expiration>${end(keys)}</Expiration></Credentials></${action}Result></${action}Response>`];
  }

  /// EC2's metadata service (second version only) and the container's: [status, text], or null for other paths.
  function metadata(request) {
    const roles = '/latest/meta-data/iam/security-credentials/';
    const keysJson = () => {
      const keys = grant();
      return JSON.stringify({ Code: 'Success', AccessKeyId: keys.access, SecretAccessKey: keys.secret, Token: keys.token, Expiration: end(keys) });
    };
    if (request.method === 'PUT' && request.url === '/latest/api/token')
      return request.headers['x-aws-ec2-metadata-token-ttl-seconds'] ? [200, 'a metadata token'] : [400, ''];
    if (request.url.startsWith(roles)) {
      if (request.headers['x-aws-ec2-metadata-token'] !== 'a metadata token') return [401, ''];
      return request.url === roles ? [200, 'a-role\n'] : request.url === `${roles}a-role` ? [200, keysJson()] : [404, ''];
    }
    if (request.url === '/container')
      return request.headers.authorization === 'a container token' ? [200, keysJson()] : [401, ''];
    return null;
  }

  async function store(request, body) {
    const url = new URL(request.url, 'http://front');
    const id = url.searchParams.get('uploadId');
    const headers = { ...request.headers };
    delete headers['if-none-match'];
    // s3rver knows one access key only; the signature has been verified here.
    delete headers['x-amz-security-token'];
    headers.authorization = headers.authorization.replace(/Credential=[^/]+/, `Credential=${lasting.access}`);
    const noSuchUpload = { status: 404, headers: {}, body: errorXml('NoSuchUpload', 'The specified upload does not exist.') };
    const creates = (request.method === 'PUT' && id === null) || (request.method === 'POST' && id !== null);
    if (id !== null && !uploads.has(id)) return noSuchUpload;
    if (creates && request.headers['if-none-match'] === '*') {
      const there = await ask(innerPort, 'HEAD', url.pathname, { authorization: headers.authorization, 'x-amz-date': headers['x-amz-date'], 'x-amz-content-sha256': headers['x-amz-content-sha256'] }, null);
      if (there.status === 200)
        return { status: 412, headers: {}, body: errorXml('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold') };
    }
    if (id !== null && request.method === 'GET') {
      const marker = Number(url.searchParams.get('part-number-marker') || 0);
      const most = Math.min(Number(url.searchParams.get('max-parts') || 1000), 2); // small pages: readers must turn them
      const all = [...uploads.get(id).parts].sort((a, b) => a[0] - b[0]).filter(([number]) => number > marker);
      const page = all.slice(0, most);
      const parts = page.map(([number, part]) => `<Part><PartNumber>${number}</PartNumber><ETag>&quot;${part.etag}&quot;</ETag><Size>${part.size}</Size>${part.crc ? `<ChecksumCRC32C>${part.crc}</ChecksumCRC32C>` : ''}</Part>`);
      const more = all.length > most;
      return { status: 200, headers: {}, body: `<ListPartsResult><IsTruncated>${more}</IsTruncated>${more ? `<NextPartNumberMarker>${page[page.length - 1][0]}</NextPartNumberMarker>` : ''}${parts.join('')}</ListPartsResult>` };
    }
    if (id !== null && request.method === 'DELETE') {
      uploads.delete(id);
      return { status: 204, headers: {}, body: '' };
    }
    const crc = request.headers['x-amz-checksum-crc32c'];
    if (checksums === 'refused' && (crc !== undefined || request.headers['x-amz-checksum-algorithm'] !== undefined))
      return { status: 501, headers: {}, body: errorXml('NotImplemented', 'A header you provided implies functionality that is not implemented') };
    if (checksums === 'checked' && crc !== undefined && request.method === 'PUT') {
      if (id !== null && !uploads.get(id).checksums)
        return { status: 400, headers: {}, body: errorXml('InvalidRequest', 'Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc32c') };
      if (crc32c(body) !== crc) return { status: 400, headers: {}, body: errorXml('BadDigest', 'The CRC32C you specified did not match the calculated checksum.') };
    }
    if (checksums === 'checked' && crc === undefined && request.method === 'PUT' && id !== null && uploads.get(id).checksums)
      return { status: 400, headers: {}, body: errorXml('InvalidRequest', 'Checksum Type mismatch occurred, expected checksum Type: crc32c, actual checksum Type: null') };
    if (locked && request.method === 'PUT' && !request.headers['content-md5'] && crc === undefined)
      return { status: 400, headers: {}, body: errorXml('InvalidRequest', 'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Part requests with Object Lock parameters') };
    if (request.headers['content-md5'] && crypto.createHash('md5').update(body).digest('base64') !== request.headers['content-md5'])
      return { status: 400, headers: {}, body: errorXml('BadDigest', 'The Content-MD5 you specified did not match what we received.') };
    if (id !== null && request.method === 'POST') {
      const wanted = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>&quot;([0-9a-f]+)&quot;<\/ETag>(?:<ChecksumCRC32C>([^<]*)<\/ChecksumCRC32C>)?/g)];
      const known = uploads.get(id).parts;
      for (const [, number, etag, sum] of wanted) {
        if (!known.has(Number(number)) || known.get(Number(number)).etag !== etag || (uploads.get(id).checksums && known.get(Number(number)).crc !== sum))
          return { status: 400, headers: {}, body: errorXml('InvalidPart', 'One or more of the specified parts could not be found.') };
      }
      body = Buffer.from(body.toString().replace(/<ChecksumCRC32C>[^<]*<\/ChecksumCRC32C>/g, '')); // s3rver knows none
      delete headers['content-length'];
      headers['x-amz-content-sha256'] = crypto.createHash('sha256').update(body).digest('hex');
    }
    if (url.searchParams.has('lifecycle')) {
      if (request.method === 'PUT') lifecycle = body.toString();
      else if (lifecycle === null) return { status: 404, headers: {}, body: errorXml('NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist') };
      return { status: 200, headers: { 'content-type': 'application/xml' }, body: request.method === 'GET' ? lifecycle : '' };
    }
    if (request.method === 'GET' && url.searchParams.get('list-type') === '2' && url.pathname === `/${bucket}`) {
      const { objects } = await inner.store.listObjects(bucket, {});
      const order = objects.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
      const rows = order.map((o) => ({ key: o.key, xml: `<LastModified>${o.lastModifiedDate.toISOString()}</LastModified><ETag>${o.metadata.etag.replace(/"/g, '&quot;')}</ETag><Size>${o.size}</Size>` }));
      return { status: 200, headers: {}, body: listPage(url.searchParams, rows) };
    }
    const answer = await ask(innerPort, request.method, request.url, headers, body);
    if (answer.status === 200 && request.method === 'POST' && url.searchParams.has('uploads')) {
      const sums = checksums !== 'unknown' && request.headers['x-amz-checksum-algorithm'] === 'CRC32C';
      uploads.set(/<UploadId>([^<]+)</.exec(answer.body.toString())[1], { path: url.pathname, parts: new Map(), checksums: sums });
      if (sums) answer.headers['x-amz-checksum-algorithm'] = 'CRC32C';
    }
    if (answer.status === 200 && request.method === 'PUT' && checksums === 'checked' && crc !== undefined) answer.headers['x-amz-checksum-crc32c'] = crc;
    if (answer.status === 200 && request.method === 'PUT' && id !== null)
      uploads.get(id).parts.set(Number(url.searchParams.get('partNumber')), { size: body.length, etag: JSON.parse(answer.headers.etag), crc: uploads.get(id).checksums ? crc : undefined });
    if (answer.status === 200 && request.method === 'POST' && id !== null) uploads.delete(id);
    return answer;
  }

  const server = http.createServer(async (request, response) => {
    try {
      if (request.url.startsWith('/__control')) {
        if (request.method === 'POST') {
          const wanted = JSON.parse(await readBody(request));
          if (wanted.faults) faults.set(wanted.faults);
          if (wanted.deny) deny = wanted.deny;
          if (wanted.locked !== undefined) locked = wanted.locked;
          if (wanted.checksums !== undefined) checksums = wanted.checksums;
          if (wanted.lifetime !== undefined) lifetime = wanted.lifetime;
          if (wanted.clock !== undefined) clock = wanted.clock;
          if (wanted.expire) for (const keys of temporary.values()) keys.expires = 0;
          if (wanted.clear) log.length = options.length = refused.length = received = 0;
        }
        return response.end(JSON.stringify({ requests: log, options, received, refused, granted, uploads: uploads.size, faults: faults.hits }));
      }
      log.push(`${request.method} ${request.url}`);
      for (const [name, value] of Object.entries(request.headers)) if (/^x-(amz|goog|ms)-/.test(name)) options.push(`${request.method} ${name}: ${value}`);
      if (options.length > 2000) options.splice(0, 1000);
      response.setHeader('Date', new Date(now()).toUTCString());
      const fault = faults.take(request);
      if (fault && fault.delay_ms) await new Promise((resolve) => setTimeout(resolve, fault.delay_ms));
      if (fault && fault.cut === 'before') return request.socket.destroy();
      const body = await readBody(request);
      received += body.length;
      if (fault && fault.status) {
        const headers = fault.retry_after === undefined ? {} : { 'Retry-After': String(fault.retry_after) };
        if (fault.region) headers['x-amz-bucket-region'] = fault.region;
        return response.writeHead(fault.status, headers).end(request.method === 'HEAD' ? undefined : errorXml(fault.code || 'SlowDown', 'as the test asked'));
      }
      const service = metadata(request);
      if (service !== null) return response.writeHead(service[0]).end(service[1]);
      if (request.url === '/' && request.method === 'POST') {
        const [status, text] = await sts(request, body);
        return response.writeHead(status, { 'Content-Type': 'text/xml' }).end(text);
      }
      const url = new URL(request.url, 'http://front');
      let wrong = await checkSignature({ request, body, lookup, region, now: now() });
      const action = actionOf(request.method, url);
      if (wrong === null && deny.includes(action)) wrong = [403, 'AccessDenied', 'Access Denied'];
      if (wrong !== null) {
        refused.push(`${wrong[1]} ${request.method} ${request.url}`);
        const more = wrong[1] === 'AuthorizationHeaderMalformed' ? `<Region>${region}</Region>` : '';
        return response.writeHead(wrong[0], { 'Content-Type': 'application/xml', 'x-amz-bucket-region': region })
          .end(request.method === 'HEAD' ? undefined : errorXml(wrong[1], wrong[2], more));
      }
      const { status, headers, body: answer } = await store(request, body);
      if (fault && fault.cut === 'after') return request.socket.destroy();
      delete headers['transfer-encoding'];
      delete headers.date;
      response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : answer);
    } catch (error) {
      if (!response.headersSent && !request.socket.destroyed) response.writeHead(500).end(errorXml('InternalError', String(error)));
    }
  });
  server.listen(Number(option('port', 0)), host, () => {
    const endpoint = `http://${host}:${server.address().port}`;
    process.stdout.write(`ready ${JSON.stringify({ endpoint, access_key: lasting.access, secret_key: lasting.secret, bucket, region })}\n`);
  });
}

main();
