#!/usr/bin/env node
'use strict';
// Reads a bucket with Google's own client, as an independent reader: lists all objects below a prefix and downloads them
// with the client's CRC32C check.   node gcs_reader.js ENDPOINT KEY.json BUCKET FOLDER [PREFIX]
// Prints one JSON line per object: {"name":..., "size":..., "crc32c":..., "type":..., "metadata":{...}}.
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { Storage } = require('@google-cloud/storage');

async function main() {
  const [endpoint, keyFile, bucketName, folder, prefix] = process.argv.slice(2);
  const key = JSON.parse(fs.readFileSync(keyFile));
  // Google's library signs for Google's own token endpoint whatever the key says, so the token is fetched here.
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const scope = 'https://www.googleapis.com/auth/devstorage.full_control';
  const claims = { iss: key.client_email, scope, aud: key.token_uri, iat: now, exp: now + 600 };
  const unsigned = `${part({ alg: 'RS256', typ: 'JWT', kid: key.private_key_id })}.${part(claims)}`;
  const signature = crypto.sign('RSA-SHA256', Buffer.from(unsigned), key.private_key).toString('base64url');
  const assertion = `${unsigned}.${signature}`;
  const answer = await fetch(key.token_uri, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }),
  });
  const { access_token: token } = await answer.json();
  const storage = new Storage({ apiEndpoint: endpoint, projectId: key.project_id });
  storage.interceptors.push({
    request: (options) => ({ ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } }),
  });
  const [files] = await storage.bucket(bucketName).getFiles({ prefix });
  for (const file of files) {
    const destination = path.join(folder, file.name);
    fs.mkdirSync(path.dirname(destination), { recursive: true });
    await file.download({ destination, validation: 'crc32c' });
    const [metadata] = await file.getMetadata();
    console.log(JSON.stringify({ name: file.name, size: Number(metadata.size), crc32c: metadata.crc32c, type: metadata.contentType, metadata: metadata.metadata || {} }));
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
