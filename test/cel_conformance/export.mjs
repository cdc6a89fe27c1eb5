// Writes the official conformance suite of CEL as one JSON document: a list of {"name": "suite/section/test", "test": {...}}.
import { tests } from "@bufbuild/cel-spec/testdata/conformance.js";

const rows = [];
function walk(suite, path) {
  for (const t of suite.tests ?? []) rows.push({ name: `${path}/${t.original.name ?? t.original.expr}`, test: t.original });
  for (const s of suite.suites ?? []) walk(s, path === "" ? s.name : `${path}/${s.name}`);
}
walk(tests, "");
process.stdout.write(JSON.stringify(rows));
