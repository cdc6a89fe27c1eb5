#!/usr/bin/env node
// Reads Parquet files with hyparquet, as an independent reader in JavaScript.   node parquet_reader.mjs FILE...
// Prints one JSON line per row: {"method":..., "path":..., "status":..., "json":...}.
import fs from 'fs';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

for (const name of process.argv.slice(2)) {
  const content = fs.readFileSync(name);
  const file = { byteLength: content.length, slice: (begin, end) => content.buffer.slice(content.byteOffset + begin, content.byteOffset + (end ?? content.length)) };
  const rows = await parquetReadObjects({ file, compressors, columns: ['method', 'path', 'status', 'json'] });
  for (const row of rows) console.log(JSON.stringify(row, (key, value) => (typeof value === 'bigint' ? Number(value) : value)));
}
