#include "script/prelude.h"

namespace baleen::script {

const std::string_view kPrelude = R"js((function(global) {
  'use strict';
  const keys = Object.keys, isArray = Array.isArray, own = Object.prototype.hasOwnProperty, stringify = JSON.stringify;
  const has = (o, k) => own.call(o, k);
  const define = (o, k, v) => Object.defineProperty(o, k, {value: v, enumerable: true, configurable: true, writable: true});
  const isMap = v => typeof v === 'object' && v !== null && !isArray(v);

  // Reference row S-31.
  define(global, 'test', {
    pass(data) { data.passed = true; return data; },
    fail(data) { data.failed = true; return data; },
  });

  // Numbers that both have are added, maps are joined, anything else is the second's (row S-58).
  function joinMaps(a, b) {
    const out = {};
    for (const k of keys(a || {})) define(out, k, a[k]);
    for (const k of keys(b || {})) {
      const x = has(out, k) ? out[k] : undefined, y = b[k];
      define(out, k, typeof x === 'number' && typeof y === 'number' ? x + y : isMap(x) && isMap(y) ? joinMaps(x, y) : y);
    }
    return out;
  }

  const pairs = map => keys(map || {}).map(k => ({name: k, value: typeof map[k] === 'string' ? map[k] : String(map[k])}));
  // As HAR 1.2 wants lists where items have maps.
  function harEntry(item) {
    const q = item.request || {}, r = item.response || {}, elapsed = (item.elapsedTime || 0) / 1000;
    const host = q.headers && (q.headers.Host || q.headers.host) || (item.dst && (item.dst.name || item.dst.ip)) || '';
    const url = /^[a-z]+:\/\//i.test(q.url || '') ? q.url : (item.tls ? 'https://' : 'http://') + host + (q.url || q.path || '/');
    const content = r.content || {};
    const entry = {
      startedDateTime: item.startTime || new Date(item.timestamp || 0).toISOString(),
      time: elapsed,
      request: {
        method: q.method || '', url: url, httpVersion: q.httpVersion || '', cookies: pairs(q.cookies),
        headers: pairs(q.headers), queryString: pairs(q.queryString),
        headersSize: q.headersSize === undefined ? -1 : q.headersSize, bodySize: q.bodySize === undefined ? -1 : q.bodySize,
      },
      response: {
        status: r.status || 0, statusText: r.statusText || '', httpVersion: r.httpVersion || '', cookies: pairs(r.cookies),
        headers: pairs(r.headers),
        content: {size: content.size || 0, mimeType: content.mimeType || '', text: content.text || ''},
        redirectURL: r.redirectURL || '', headersSize: r.headersSize === undefined ? -1 : r.headersSize,
        bodySize: r.bodySize === undefined ? -1 : r.bodySize,
      },
      cache: {},
      timings: {send: 0, wait: elapsed, receive: 0},
    };
    if (content.encoding) entry.response.content.encoding = content.encoding;
    if (q.postData && (q.postData.text || q.postData.mimeType))
      entry.request.postData = {mimeType: q.postData.mimeType || '', params: q.postData.params || [], text: q.postData.text || ''};
    if (item.dst && item.dst.ip) entry.serverIPAddress = item.dst.ip;
    return entry;
  }
  function buildHAR(items) {
    return stringify({log: {version: '1.2', creator: {name: 'Custom HAR Builder', version: '1.0'},
                            entries: (isArray(items) ? items : [items]).map(harEntry)}});
  }
  define(global, 'wrapper', {joinMaps, buildHAR});
})(this);
)js";

}  // namespace baleen::script
