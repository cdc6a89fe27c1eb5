#!/usr/bin/env node
'use strict';
// Reads a bucket with Amazon's own client, as an independent reader: lists all objects below a prefix and downloads them.
//   AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... node s3_reader.js ENDPOINT REGION BUCKET FOLDER [PREFIX]
// Prints one JSON line per object: {"name":..., "size":..., "type":..., "class":..., "metadata":{...}}.
const fs = require('fs');
const path = require('path');
const { S3Client, paginateListObjectsV2, GetObjectCommand } = require('@aws-sdk/client-s3');

async function main() {
  const [endpoint, region, bucket, folder, prefix] = process.argv.slice(2);
  const client = new S3Client({ endpoint, region, forcePathStyle: true });
  for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })) {
    for (const { Key: name, Size: size } of page.Contents || []) {
      const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: name, ChecksumMode: 'ENABLED' }));
      const destination = path.join(folder, name);
      fs.mkdirSync(path.dirname(destination), { recursive: true });
      fs.writeFileSync(destination, await object.Body.transformToByteArray());
      console.log(JSON.stringify({ name, size, type: object.ContentType, class: object.StorageClass, metadata: object.Metadata }));
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
