#!/usr/bin/env node
'use strict';
// Reads a container with Microsoft's own client, as an independent reader: lists all blobs below a prefix and downloads
// them.   AZURE_STORAGE_KEY=... node azure_reader.js ENDPOINT ACCOUNT CONTAINER FOLDER [PREFIX]
// Prints one JSON line per blob: {"name":..., "size":..., "type":..., "class":..., "metadata":{...}}.
const fs = require('fs');
const path = require('path');
const { ContainerClient, StorageSharedKeyCredential } = require('@azure/storage-blob');

async function main() {
  const [endpoint, account, container, folder, prefix] = process.argv.slice(2);
  const credential = new StorageSharedKeyCredential(account, process.env.AZURE_STORAGE_KEY);
  const client = new ContainerClient(`${endpoint}/${container}`, credential);
  for await (const { name, properties } of client.listBlobsFlat({ prefix })) {
    const blob = client.getBlobClient(name);
    const destination = path.join(folder, name);
    fs.mkdirSync(path.dirname(destination), { recursive: true });
    await blob.downloadToFile(destination);
    const facts = await blob.getProperties();
    console.log(JSON.stringify({ name, size: properties.contentLength, type: properties.contentType, class: facts.accessTier, metadata: facts.metadata }));
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
