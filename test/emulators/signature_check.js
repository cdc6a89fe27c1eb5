'use strict';
// Verifies AWS Signature Version 4 with Amazon's own signer: signs what came with the key that the server knows, and
// compares. Says what S3 would say of a request that is not signed right: [status, code, message], or null.
const crypto = require('crypto');
const { SignatureV4 } = require('@smithy/signature-v4');

/// What the signer wants of a hash: its SHA-256, keyed or not.
class Sha256 {
  constructor(secret) {
    this.hash = secret === undefined ? crypto.createHash('sha256') : crypto.createHmac('sha256', Buffer.from(secret));
  }
  update(data) {
    this.hash.update(Buffer.from(data));
  }
  async digest() {
    return new Uint8Array(this.hash.digest());
  }
}

const kPattern =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/// `lookup(accessKey)` gives {secret, token, expires} or nothing; `now` is the server's clock in ms.
async function checkSignature({ request, body, lookup, region, now }) {
  const found = kPattern.exec(request.headers.authorization || '');
  if (found === null) return [403, 'AccessDenied', 'Access Denied'];
  const [, accessKey, day, scopeRegion, service, names, signature] = found;
  const key = lookup(accessKey);
  if (!key) return [403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.'];
  if (service === 's3' && scopeRegion !== region)
    return [400, 'AuthorizationHeaderMalformed', `The region '${scopeRegion}' is wrong; expecting '${region}'`];
  if (key.token !== undefined) {
    if (request.headers['x-amz-security-token'] !== key.token) return [400, 'InvalidToken', 'The provided token is malformed.'];
    if (key.expires < now) return [400, 'ExpiredToken', 'The provided token has expired.'];
  }
  const time = request.headers['x-amz-date'] || '';
  const date = new Date(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Number.isNaN(date.getTime()) || !time.startsWith(day)) return [403, 'AccessDenied', 'a valid x-amz-date is required'];
  if (Math.abs(date.getTime() - now) > 15 * 60 * 1000)
    return [403, 'RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.'];

  const signed = names.split(';');
  const headers = {};
  for (const name of signed) headers[name] = request.headers[name];
  for (const name of Object.keys(request.headers))
    if ((name === 'host' || name.startsWith('x-amz-')) && !signed.includes(name))
      return [403, 'AccessDenied', `There were headers present in the request which were not signed: ${name}`];
  const url = new URL(request.url, 'http://front');
  const query = {};
  for (const [name, value] of url.searchParams) query[name] = value;
  const signer = new SignatureV4({
    credentials: { accessKeyId: accessKey, secretAccessKey: key.secret, sessionToken: key.token },
    region: scopeRegion,
    service,
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: service === 's3',
  });
  const ours = await signer.sign(
    { method: request.method, protocol: 'http:', hostname: 'front', path: request.url.split('?')[0], query, headers, body },
    { signingDate: date, signableHeaders: new Set(signed) },
  );
  if (!String(ours.headers.authorization).endsWith(signature))
    return [403, 'SignatureDoesNotMatch', 'The request signature we calculated does not match the signature you provided.'];
  const hash = request.headers['x-amz-content-sha256'];
  if (service === 's3' && hash === 'UNSIGNED-PAYLOAD') return null;
  if (service === 's3' && hash !== crypto.createHash('sha256').update(body).digest('hex'))
    return [400, 'XAmzContentSHA256Mismatch', 'The provided x-amz-content-sha256 header does not match what was computed.'];
  return null;
}

module.exports = { checkSignature };
