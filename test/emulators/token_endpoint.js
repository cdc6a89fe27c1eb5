'use strict';
// What https://oauth2.googleapis.com/token does for a service account (RFC 7523): verifies the signed JWT to the last
// claim and hands out bearer tokens that expire. A wrong JWT gets `invalid_grant` and the reason, as from Google.
const crypto = require('crypto');

const kGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const kScopes = [
  'https://www.googleapis.com/auth/devstorage.read_write',
  'https://www.googleapis.com/auth/devstorage.full_control',
  'https://www.googleapis.com/auth/cloud-platform',
];

class TokenEndpoint {
  constructor({ lifetime = 3600, email = 'baleen-test@baleen-test.iam.gserviceaccount.com' } = {}) {
    const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.publicKey = publicKey;
    this.privateKey = privateKey;
    this.keyId = crypto.randomBytes(20).toString('hex');
    this.email = email;
    this.lifetime = lifetime;
    this.tokens = new Map(); // token -> expiry in ms
    this.granted = 0;
    this.refused = [];
  }

  serviceAccountKey(tokenUri) {
    this.tokenUri = tokenUri;
    return {
      type: 'service_account',
      project_id: 'baleen-test',
      private_key_id: this.keyId,
      private_key: this.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: this.email,
      client_id: '100000000000000000000',
      token_uri: tokenUri,
    };
  }

  /// The reason why a JWT is wrong, or null.
  check(jwt) {
    const parts = String(jwt).split('.');
    if (parts.length !== 3) return 'not a JWT';
    let header, claims;
    try {
      header = JSON.parse(Buffer.from(parts[0], 'base64url'));
      claims = JSON.parse(Buffer.from(parts[1], 'base64url'));
    } catch (e) {
      return 'a part is not JSON';
    }
    if (header.alg !== 'RS256') return `alg ${header.alg}`;
    if (header.kid !== undefined && header.kid !== this.keyId) return `unknown kid ${header.kid}`;
    const signature = Buffer.from(parts[2], 'base64url');
    if (!crypto.verify('RSA-SHA256', Buffer.from(`${parts[0]}.${parts[1]}`), this.publicKey, signature))
      return 'Invalid JWT Signature.';
    const now = Math.floor(Date.now() / 1000);
    if (claims.iss !== this.email) return `iss ${claims.iss}`;
    if (claims.aud !== this.tokenUri) return `aud ${claims.aud}`;
    if (!Number.isInteger(claims.iat) || !Number.isInteger(claims.exp)) return 'iat and exp must be integers';
    if (claims.iat > now + 300) return `iat ${claims.iat - now} s in the future`;
    if (claims.exp <= now) return 'expired';
    if (claims.exp - claims.iat > 3600) return 'exp is more than an hour after iat';
    const scopes = String(claims.scope || '').split(' ');
    if (!scopes.some((scope) => kScopes.includes(scope))) return `scope ${claims.scope}`;
    return null;
  }

  answer(form) {
    const fields = new URLSearchParams(form);
    const wrong =
      fields.get('grant_type') !== kGrant ? `grant_type ${fields.get('grant_type')}` : this.check(fields.get('assertion'));
    if (wrong !== null) {
      this.refused.push(wrong);
      return { status: 400, body: { error: 'invalid_grant', error_description: wrong } };
    }
    const token = `ya29.${crypto.randomBytes(32).toString('base64url')}`;
    this.tokens.set(token, Date.now() + this.lifetime * 1000);
    this.granted += 1;
    return { status: 200, body: { access_token: token, expires_in: this.lifetime, token_type: 'Bearer' } };
  }

  accepts(authorization) {
    const match = /^Bearer (\S+)$/.exec(authorization || '');
    return match !== null && (this.tokens.get(match[1]) || 0) > Date.now();
  }

  /// As when a key is rotated or a session ended: every token that was handed out is refused from now on.
  revoke() {
    this.tokens.clear();
  }
}

module.exports = { TokenEndpoint };
