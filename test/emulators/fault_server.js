'use strict';
// Faults on the way to a server, switched by tests while they run. A fault says which requests it is for and what is
// done with them, and for how many:
//   {match: 'POST .*uploadType=multipart', times: 3, status: 503}       an answer instead of the server's
//   {..., retry_after: 1}                                               with that header
//   {..., cut: 'before'}                                                the connection ends, the server sees nothing
//   {..., cut: 'after'}                                                 the server did it, its answer is lost
//   {..., delay_ms: 500}                                                slow
// `match` is a regular expression on "METHOD /path?query"; without it every request. `times` defaults to for ever.
class Faults {
  constructor() {
    this.list = [];
    this.hits = 0;
  }

  set(faults) {
    this.list = faults.map((fault) => ({
      ...fault,
      pattern: new RegExp(fault.match || ''),
      left: fault.times === undefined ? Infinity : fault.times,
    }));
  }

  take(request) {
    const line = `${request.method} ${request.url}`;
    const fault = this.list.find((f) => f.left > 0 && f.pattern.test(line));
    if (fault === undefined) return null;
    fault.left -= 1;
    this.hits += 1;
    return fault;
  }
}

/// What Google's servers say with an error.
function errorBody(status, message) {
  return JSON.stringify({ error: { code: status, message, errors: [{ message, domain: 'global', reason: 'test' }] } });
}

module.exports = { Faults, errorBody };
