#!/usr/bin/env node
'use strict';
// Runs SQL in the published DuckDB (not ours) and prints the rows as JSON lines.   node parquet_reader.js SQL
const { DuckDBInstance } = require('@duckdb/node-api');

async function main() {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const reader = await connection.runAndReadAll(process.argv[2]);
  for (const row of reader.getRowObjectsJson()) console.log(JSON.stringify(row));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
