#include "script/host.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "item/json.h"

/// AddressSanitizer asks this: hostile scripts ask malloc for more than there is, and the engine deals with the answer.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace baleen::script {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr item::Protocol kHttp = {.name = "http",
                                  .version = "1.1",
                                  .abbreviation = "HTTP",
                                  .long_name = "Hypertext Transfer Protocol -- HTTP/1.1",
                                  .macro = "http",
                                  .reference = "https://example.org",
                                  .background = "#326de6",
                                  .foreground = "#ffffff",
                                  .layer4 = "tcp"};
constexpr item::Protocol kDns = {.name = "dns", .abbreviation = "DNS", .macro = "dns", .layer4 = "udp"};
const item::Protocol* const kProtocols[] = {&kHttp, &kDns};
constexpr item::Origin kOrigin = {"127.0.0.1:30001", "node-a", "10.0.0.1"};

item::ItemRef make_item(item::ItemPool& pool, uint64_t stream = 42, const item::Protocol* protocol = &kHttp) {
  item::Item* item = pool.take();
  item->protocol = protocol;
  item->origin = &kOrigin;
  item->stream = stream;
  item->client.address.port = 40000;
  item->server.address.port = 80;
  item->client.name = "caller";
  item->server.name_space = "shop";
  const auto headers = item->arena.array<item::Member>(2);
  headers[0] = {"Host", "shop.example"};
  headers[1] = {"Content-Type", "text/plain"};
  const auto request = item->arena.array<item::Member>(4);
  request[0] = {"method", "GET"};
  request[1] = {"path", "/cart"};
  request[2] = {"url", "/cart?x=1"};
  request[3] = {"headers", item::Value::map(headers, true)};
  item->request = {item::Value::map(request), timestamp_from_ns(1'700'000'000'000'000'000), 120, true};
  const auto tags = item->arena.array<item::Value>(2);
  tags[0] = "a";
  tags[1] = 7;
  const auto response = item->arena.array<item::Member>(3);
  response[0] = {"status", 200};
  response[1] = {"tags", item::Value::list(tags)};
  response[2] = {"text", "gr\xC3\xBC\xC3\x9F \xFF"};
  item->response = {item::Value::map(response), timestamp_from_ns(1'700'000'000'002'000'000), 300, true};
  return item::ItemRef(item);
}

class Host : public testing::Test {
 protected:
  Host() {
    folder_ = fs::temp_directory_path() / ("baleen_script_test_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "scripts");
    fs::create_directories(folder_ / "data" / "pcap");
    options_.scripts_folder = folder_ / "scripts";
    options_.data_folder = folder_ / "data";
    options_.node_name = "node-a";
    options_.node_ip = "10.0.0.1";
    options_.run_id = "run1";
    options_.kfl.protocols = kProtocols;
    options_.kfl.dialect = kfl::Dialect::kV1;
    options_.utc_offset = [](int64_t) { return 0; };
    options_.clock = [this] { return timestamp_from_ns(seconds_.load() * 1'000'000'000); };
    callbacks_.console = [this](const ConsoleLine& line) {
      std::lock_guard lock(mutex_);
      if (line.kind == ConsoleLine::Kind::kClear) {
        lines_.emplace_back("<clear>");
        return;
      }
      lines_.push_back((line.kind == ConsoleLine::Kind::kError ? "E " : "") + line.text);
    };
    callbacks_.pcap_path = [this](const std::string& stream) -> Result<std::string> {
      const fs::path path = folder_ / "data" / "pcap" / stream;
      std::ofstream(path) << "packets of " << stream;
      return path.string();
    };
    callbacks_.snapshot = [this](const SnapshotRequest& request) -> Result<std::string> {
      std::ofstream out(request.output);
      const fs::path folder = request.folder.empty() ? folder_ / "data" / "pcap" : fs::path(request.folder);
      std::vector<fs::path> files(fs::directory_iterator(folder), fs::directory_iterator{});
      std::sort(files.begin(), files.end());
      for (const auto& file : files) out << std::ifstream(file).rdbuf() << ";";
      return request.output;
    };
    callbacks_.name_resolution_history = [] { return R"({"1700000000":{"10.0.0.9":{"FullAddress":"db.shop"}}})"; };
    callbacks_.gcs_put = [this](const Upload& upload) -> Result<std::string> {
      std::lock_guard lock(mutex_);
      if (fail_puts_) return Error{Code::kUnavailable, "503 try later"};
      std::stringstream content;
      content << std::ifstream(upload.path).rdbuf();
      puts_.push_back(upload.bucket + " " + upload.object + " " + upload.credentials + " " + content.str());
      return "https://storage.example/" + upload.bucket + "/" + upload.object;
    };
  }
  ~Host() override {
    host_.reset();
    fs::remove_all(folder_);
  }

  void script(const std::string& name, const std::string& text) { std::ofstream(folder_ / "scripts" / name) << text; }
  void start() {
    host_ = std::make_unique<ScriptHost>(options_, callbacks_);
    const auto started = host_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  void item(uint64_t stream = 42, const item::Protocol* protocol = &kHttp) {
    host_->feed().offer(make_item(pool_, stream, protocol));
    host_->settle();
  }
  std::vector<std::string> lines() {
    std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }
  std::vector<std::string> puts() {
    std::lock_guard lock(mutex_);
    return std::exchange(puts_, {});
  }
  /// Lines of one script that runs at load only.
  std::vector<std::string> run(const std::string& text) {
    script("a.js", text);
    start();
    auto out = lines();
    host_.reset();
    return out;
  }
  std::vector<std::string> run_item(const std::string& body) {
    script("a.js", "function onItemCaptured(data) {" + body + "}");
    start();
    item();
    auto out = lines();
    host_.reset();
    return out;
  }
  /// Items that are not home. The pool sees who came home when its own list is empty.
  size_t live(size_t more_than_it_has) {
    std::vector<item::Item*> taken(more_than_it_has);
    for (auto& item : taken) item = pool_.take();
    for (auto& item : taken) pool_.give(item);
    return pool_.live();
  }
  template <class Condition>
  bool eventually(Condition condition) {
    for (int i = 0; i < 500; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  fs::path folder_;
  HostOptions options_;
  HostCallbacks callbacks_;
  std::atomic<int64_t> seconds_{1'700'000'000};
  std::mutex mutex_;
  std::vector<std::string> lines_, puts_;
  bool fail_puts_ = false;
  item::ItemPool pool_;
  std::unique_ptr<ScriptHost> host_;
};

struct Snippet {
  const char* name;
  const char* code;
  std::vector<std::string> expected;
};

TEST_F(Host, TopLevelCodePrints) {
  const Snippet snippets[] = {
      {"joined by one space", "console.log('a', 1, true, null, undefined)", {"a 1 true null undefined"}},
      {"objects", "console.log({a:[1,2]}, [3])", {"{\"a\":[1,2]} [3]"}},
      {"errors", "console.error('no', new TypeError('bad'))", {"E no TypeError: bad"}},
      {"clear", "console.clear()", {"<clear>"}},
      {"octal escape", "console.log('\\033[31m' === '\\u001b[31m')", {"true"}},
      {"raw ESC", "console.log('\x1b[0m'.length)", {"4"}},
      {"hoisting", "console.log(f()); function f() { return 'up'; }", {"up"}},
      {"implicit global", "x = 5; console.log(this.x)", {"5"}},
      {"var is not global", "var y = 5; console.log(this.y)", {"undefined"}},
      {"strict", "'use strict'; try { zz = 1; } catch (e) { console.log(e.name); }", {"ReferenceError"}},
      {"Date as function", "console.log(typeof Date(), typeof new Date().toLocaleString())", {"string string"}},
      {"ES6", "const f = (a, ...b) => `${a}${b}`; console.log(f(1, 2, 3))", {"12,3"}},
      {"env", "console.log(env.A, env.N, env.NONE)", {"x 7 undefined"}},
      {"nodeName", "console.log(utils.nodeName())", {"node-a"}},
      {"joinMaps",
       "console.log(wrapper.joinMaps({a:1,b:{c:2}}, {a:2,b:{c:3,d:'x'}}))",
       {"{\"a\":3,\"b\":{\"c\":5,\"d\":\"x\"}}"}},
      {"yaml",
       "console.log(utils.json2Yaml('{\"a\":[1,{\"b\":\"x y\"}],\"c\":\"1\"}'))",
       {"a:\n- 1\n-\n  b: x y\nc: \"1\"\n"}},
      {"await",
       "async function f() { await null; console.log('later'); } f(); console.log('first')",
       {"first", "later"}},
      {"names",
       "console.log(JSON.stringify(pcap.nameResolutionHistory()))",
       {"{\"1700000000\":{\"10.0.0.9\":{\"FullAddress\":\"db.shop\"}}}"}},
      {"validate",
       "console.log(kfl.validate('http or dns'), kfl.validate('http ==='), kfl.validate(''), kfl.validate())",
       {"true false true false"}},
      {"webhook absent",
       "try { vendor.webhook('GET', 'http://x') } catch (e) { console.log(e.message) }",
       {"vendor.webhook is not available in this program"}},
      {"bad cron",
       "try { jobs.schedule('t', '* * *', function(){}) } catch (e) { console.log(e instanceof Error) }",
       {"true"}},
      {"list",
       "jobs.schedule('b', '*/60 * * * * *', f); jobs.schedule('a', '0 0 * * * *', f); jobs.schedule('a', '0 0 * * * "
       "*', f);"
       "function f(){} console.log(jobs.list()); jobs.remove('a'); console.log(jobs.list().length);"
       "jobs.removeAll(); console.log(jobs.list().length, jobs.scheduler.isRunning())",
       {"[\"a\",\"b\"]", "1", "0 true"}},
      {"no host objects leak",
       "console.log(typeof require, typeof process, typeof WebAssembly)",
       {"undefined undefined undefined"}},
  };
  options_.env_json = R"({"A":"x","N":7})";
  for (const Snippet& snippet : snippets) {
    SCOPED_TRACE(snippet.name);
    EXPECT_EQ(run(snippet.code), snippet.expected);
  }
}

TEST_F(Host, ItemsAreLazyObjectsWithBothSpellings) {
  const Snippet snippets[] = {
      {"json names",
       "console.log(data.protocol.name, data.request.path, data.response.status, data.stream)",
       {"http /cart 200 000000000042.pcap"}},
      {"go names",
       "console.log(data.Protocol.Name, data.Request.Path, data.Protocol.Abbreviation, data.Request.URL)",
       {"http /cart HTTP /cart?x=1"}},
      {"pcapFile", "console.log(data.pcapFile, data.entryFile)", {"000000000042.pcap 000000000042_pcap-0_entry.json"}},
      {"identity", "console.log(data.request === data.request, data.Request === data.request)", {"true true"}},
      {"headers fold case",
       "console.log(data.request.headers['content-type'], data.request.headers.HOST)",
       {"text/plain shop.example"}},
      {"headers have no Go names", "console.log(data.request.headers.Nope)", {"undefined"}},
      {"lists",
       "console.log(data.response.tags.length, data.response.tags[1], Array.isArray(data.response.tags))",
       {"2 7 true"}},
      {"text", "console.log(data.response.text)", {"gr\xC3\xBC\xC3\x9F \xEF\xBF\xBD"}},
      {"null", "console.log(data.data, data.error, data.nothing)", {"null null undefined"}},
      {"stringify has no Go names",
       "data.Request; data.pcapFile; var o = JSON.parse(JSON.stringify(data));"
       "console.log(o.Request, o.pcapFile, o.request.path, o.protocol.longName)",
       {"undefined undefined /cart Hypertext Transfer Protocol -- HTTP/1.1"}},
      {"delete",
       "delete data.request; console.log(data.request, 'request' in data, JSON.stringify(data).indexOf('cart'))",
       {"undefined false -1"}},
      {"delete after reading",
       "data.src.name; delete data.src.name; console.log('name' in data.src, data.src.port)",
       {"false 40000"}},
      {"add and change",
       "data.mine = 1; data.request = {path: '/x'}; var o = JSON.parse(JSON.stringify(data));"
       "console.log(o.mine, o.request.path)",
       {"1 /x"}},
      {"keys",
       "console.log(Object.keys(data.protocol).length, Object.keys(data).indexOf('request') >= 0)",
       {"13 true"}},
      {"match",
       "console.log(kfl.match('http', data), kfl.match('dns', data), kfl.match('', data),"
       "kfl.match(undefined, data), kfl.match(env.NONE, data))",
       {"true false true false false"}},
      {"match on a plain object",
       "console.log(kfl.match('request.path == \"/y\"', {request: {path: '/y'}}))",
       {"true"}},
      {"match throws",
       "try { kfl.match('http ===', data); } catch (e) { console.log(e.message.indexOf('kfl.match') ) }",
       {"0"}},
      {"pass", "console.log(test.pass(data) === data, data.passed, test.fail(data).failed)", {"true true true"}},
      {"har",
       "var h = JSON.parse(wrapper.buildHAR([data])); console.log(h.log.version, h.log.creator.name,"
       "h.log.entries[0].request.url, h.log.entries[0].request.headers[0].name)",
       {"1.2 Custom HAR Builder http://shop.example/cart?x=1 Host"}},
      {"proxy of an item",
       "var p = new Proxy(data, {}); console.log(p.request.path, Object.create(data).stream)",
       {"/cart 000000000042.pcap"}},
  };
  for (const Snippet& snippet : snippets) {
    SCOPED_TRACE(snippet.name);
    EXPECT_EQ(run_item(snippet.code), snippet.expected);
  }
}

TEST_F(Host, KeptItemsStayAndOthersGoHome) {
  script("a.js",
         "var kept = []; function onItemCaptured(data) { if (data.index % 1000 === 0) kept.push(data); n++; }"
         "this.n = 0; jobs.schedule('t', '* * * * * *', function() {"
         "console.log(n, kept.length, kept.every(function(d) { return d.request.path === '/cart'; })); });");
  start();
  for (uint64_t i = 0; i < 20'000; ++i) {
    auto ref = make_item(pool_);
    const_cast<item::Item*>(ref.get())->index = i;
    while (!host_->feed().offer(ref)) std::this_thread::yield();
  }
  host_->settle();
  EXPECT_EQ(host_->items(), 20'000U);
  seconds_ += 1;
  host_->settle();
  EXPECT_THAT(lines(), ElementsAre("20000 20 true"));
  EXPECT_LT(live(25'000), 6'000U);  // what the nursery holds, and the twenty
  host_.reset();
  EXPECT_EQ(live(60'000), 0U);
}

TEST_F(Host, ScriptsShareTheGlobalObjectOnly) {
  script("a.js",
         "var own = 1; this.shared = 'from a'; onItemCaptured = function(d) { console.log('a', typeof own); };");
  script("b.js", "console.log(typeof own, shared); function onItemCaptured(d) { console.log('b', this.shared); }");
  script("c.js", "console.log(typeof onItemCaptured);");
  start();
  item();
  EXPECT_THAT(lines(), ElementsAre("undefined from a", "undefined", "a number", "b from a"));
}

TEST_F(Host, TroubleStaysWithTheScript) {
  options_.limits.call_budget = std::chrono::milliseconds(500);
  options_.limits.heap_bytes = size_t{64} << 20;
  script("a_throws.js", "function onItemCaptured(d) {\n  d.none.x;\n}");
  script("b_top.js", "throw 'at once';");
  script("c_syntax.js", "function (");
  script("d_loops.js", "function onItemCaptured(d) { try { for(;;); } catch (e) {} finally { for(;;); } }");
  script("e_eats.js", "var a = []; function onItemCaptured(d) { for (;;) a.push(new Array(1000).fill({})); }");
  script("z_good.js", "var n = 0; function onItemCaptured(d) { console.log('good', ++n); }");
  start();
  EXPECT_THAT(lines(), ElementsAre("E load: at once", HasSubstr("E load: c_syntax.js:1:")));
  for (int i = 0; i < 3; ++i) {
    host_->feed().offer(make_item(pool_));
    host_->settle();
  }
  const auto out = lines();
  EXPECT_THAT(out, testing::Contains(HasSubstr("E onItemCaptured: a_throws.js:2:")));
  EXPECT_THAT(out, testing::Contains(HasSubstr("ran longer than 500 ms")));
  EXPECT_THAT(out, testing::Contains(HasSubstr("again and again")));
  EXPECT_THAT(out, testing::Contains(HasSubstr("too much memory")));
  EXPECT_THAT(out, testing::Contains("good 3"));
  std::map<std::string, bool> running;
  for (const auto& s : host_->status()) running[s.name] = s.running;
  EXPECT_EQ(running, (std::map<std::string, bool>{{"a_throws.js", true},
                                                  {"b_top.js", false},
                                                  {"c_syntax.js", false},
                                                  {"d_loops.js", false},
                                                  {"e_eats.js", false},
                                                  {"z_good.js", true}}));
}

TEST_F(Host, HostileScriptsDoNotCrash) {
#ifdef __SANITIZE_ADDRESS__
  options_.limits.call_budget = std::chrono::milliseconds(1500);  // that the honest script beside them has time
#else
  options_.limits.call_budget = std::chrono::milliseconds(300);
#endif
  options_.limits.heap_bytes = size_t{64} << 20;
  const char* const snippets[] = {
      "(function f() { f(); })()",
      "var s = 'x'; for (;;) s += s;",
      "var s = 'x'; try { for (;;) s += s; } catch (e) {} console.log(s); file.write('s', s);",
      "new ArrayBuffer(4e9)",
      "var a = []; for (;;) a.push(new ArrayBuffer(1e6));",
      "var a = []; a[4294967294] = 1; a.sort(); JSON.stringify(a);",
      "/(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')",
      "async function f() { for (;;) await 0; } f();",
      "function f() { return Promise.resolve().then(f); } f();",
      "console.log({get x() { for(;;); }})",
      "console.log({toString() { throw 1; }})",
      "console.log({toJSON() { return this; }, a: {toJSON() { for (;;); }}})",
      "console.log(Symbol('x'))",
      "var c = {}; c.c = c; console.log(c)",
      "file.write(new Proxy({}, {get() { throw new Error('trap'); }}), 'x')",
      "pcap.snapshot(new Proxy([], {get() { return {}; }}))",
      "Object.prototype.x = 1; Array.prototype.push = null; Function.prototype.call = null; JSON.stringify = null;"
      "console.log(wrapper.joinMaps({a: 1}, {b: 2})); console.log({a: 1});",
      "Object.defineProperty(Object.prototype, 'then', {get() { throw 1; }}); (async () => 1)();",
      "env = null; console.log = null; kfl = undefined; file.write = 1; jobs = 0;",
      "delete this.console; this.Object = 1; this.Array = 2;",
      "this.__proto__ = null; this.x",
      "Object.setPrototypeOf(console, new Proxy({}, {})); console.nothing",
      "console.log.call(1, 2); new console.log(3); console.log.apply(null, new Array(1e5))",
      "setTimeout('text', 1)",
      "for (var i = 0; i < 1e5; i++) setTimeout(function(){}, 1e6)",
      "jobs.schedule({toString() { jobs.removeAll(); return 't'; }}, '* * * * * *', function(){})",
      "eval('for(;;);')",
      "new Function('for(;;);')()",
      "JSON.parse('['.repeat(1e6))",
      "utils.json2Yaml('['.repeat(1e5))",
      "'\\uD800'.length; console.log('\\uD800'); file.write('\\uD800', '\\uD800')",
      "throw {toString: null, get message() { throw 1; }}",
      "throw new Proxy({}, {get() { for (;;); }})",
      "throw null",
      "return 5",
      "}); (function() {",
      "Promise.reject(new Error('nobody'))",
      "kfl.match('('.repeat(1e5), {}) ",
      "kfl.match('http', new Proxy({}, {ownKeys() { throw 1; }}))",
  };
  for (const char* snippet : snippets) {
    SCOPED_TRACE(snippet);
    script("a.js", snippet);
    script("b.js",
           "function onItemCaptured(d) { d.request.path === '/cart' && ok(d); } function ok(d) { "
           "vendor.gcs.put('alive', 'b', ''); }");
    std::ofstream(folder_ / "data" / "b") << "x";
    start();
    item();
    EXPECT_EQ(puts().size(), 1U);
    host_.reset();
  }
  EXPECT_THAT(lines(), testing::Contains(HasSubstr("unhandled rejection: Error: nobody")));
}

TEST_F(Host, ItemTricksDoNotCrash) {
  const char* const bodies[] = {
      "Object.defineProperty(data, 'request', {get() { return data; }}); JSON.stringify(data)",
      "Object.freeze(data); Object.freeze(data.request); data.x = 1; delete data.src;",
      "Object.setPrototypeOf(data, data.request); data.method;",
      "data.__proto__ = null; data.request.__proto__ = data; data.nothing",
      "for (var k in data) delete data[k]; for (var k in data.request) ;",
      "for (var i = 0; i < 100; i++) data['k' + i] = data; data[5] = 1; data[Symbol.iterator] = null; data['\\u00fc']; "
      "data.request['\\u00fc'];",
      "data.toJSON = function() { return {get a() { delete data.src; return data.dst; }}; }; JSON.stringify(data); "
      "JSON.stringify(data.request)",
      "Object.getOwnPropertyDescriptor(data, 'request'); Reflect.ownKeys(data); structuredClone && 1",
      "this.all = this.all || []; all.push(data.response.tags, data.request.headers); ",
      "new WeakMap().set(data, 1); new Map([[data, data]]); data.request.constructor; "
      "data.constructor.constructor('return 1')()",
  };
  for (const char* body : bodies) {
    SCOPED_TRACE(body);
    script("a.js", std::string("function onItemCaptured(data) {") + body + "}");
    script("b.js", "function onItemCaptured(d) { console.log('alive'); }");
    start();
    for (int i = 0; i < 200; ++i) host_->feed().offer(make_item(pool_));
    host_->settle();
    const auto out = lines();
    EXPECT_EQ(std::count(out.begin(), out.end(), "alive"), 200);
    host_.reset();
  }
}

TEST_F(Host, ErrorLinesAreLimited) {
  script("a.js", "function onItemCaptured(d) { SLACK_TOKEN; }");
  start();
  for (int i = 0; i < 1000; ++i) host_->feed().offer(make_item(pool_));
  host_->settle();
  EXPECT_EQ(lines().size(), 10U);
  EXPECT_EQ(host_->status()[0].errors, 1000U);
}

TEST_F(Host, HooksAreCalled) {
  script("a.js", R"(
    function onPacketCaptured(i) { console.log(i.timestamp, i.captureLength, i.length, i.truncated, i.fragmented); }
    function onItemQueried(data, filter) { return data.request.path === '/cart' ? test.fail(data) : undefined; }
    function onPodEvent(event, pod) { console.log(event, pod.ObjectMeta.Name); }
    function onHubAction(action, object) { console.log(action, object); }
    function onLogCall(level, msg) { console.log(level, JSON.parse(msg).message); }
    function onJobPassed(tag, cron, limit) { console.log('passed', tag, cron, limit); }
    function onJobFailed(tag, cron, limit, err) { console.log('failed', tag, limit, err); }
    jobs.schedule('good', '*/10 * * * * *', function(a, b) { console.log('job', a, b.c); }, 2, 'x', {c: 3});
    jobs.schedule('bad', '* * * * * *', function() { throw new Error('oh'); }, 1);
  )");
  start();
  EXPECT_TRUE(host_->wants_packets());
  EXPECT_FALSE(host_->wants_items());
  host_->feed().offer(PacketFacts{timestamp_from_ns(5'000'000), 60, 1500, true, false});
  host_->pod_event("ADDED", R"({"ObjectMeta":{"Name":"web"}})");
  host_->hub_action("count", "[1]");
  host_->log_call("error", R"({"message":"m"})");
  host_->settle();
  EXPECT_THAT(lines(), testing::UnorderedElementsAre("5 60 1500 true false", "ADDED web", "count [1]", "error m"));
  const auto answer = host_->item_queried(make_item(pool_), "http");
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr("\"failed\":true"));
  seconds_ += 10;
  host_->settle();
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("E job bad: a.js:10:"), "failed bad 1 Error: oh", "job x 3",
                                   "passed good */10 * * * * * 2"));
  seconds_ += 10;
  host_->settle();
  EXPECT_EQ(lines().size(), 2U);
  seconds_ += 10;
  host_->settle();
  EXPECT_TRUE(lines().empty());
}

TEST_F(Host, JobsRunOnRequestAndTimersFire) {
  script("a.js", R"(
    jobs.schedule('t', '0 0 0 1 1 *', function() { console.log('ran'); });
    jobs.run('t');
    setTimeout(function(a) { console.log('timeout', a); }, 20, 'x');
    clearTimeout(setTimeout(function() { console.log('never'); }, 10));
    var n = 0, i = setInterval(function() { if (++n === 3) { clearInterval(i); console.log('thrice'); } }, 5);
  )");
  start();
  EXPECT_TRUE(eventually([this] {
    std::lock_guard lock(mutex_);
    return lines_.size() == 3;
  }));
  EXPECT_THAT(lines(), testing::UnorderedElementsAre("ran", "timeout x", "thrice"));
}

TEST_F(Host, FilesAreChangedLive) {
  script("a.js", "// Title of A\nconsole.log('one'); jobs.schedule('a1', '* * * * * *', function() {});");
  start();
  EXPECT_THAT(lines(), ElementsAre("one"));
  EXPECT_EQ(host_->status()[0].title, "Title of A");
  script("a.js", "console.log('two', jobs.list());");
  EXPECT_TRUE(eventually([this] {
    std::lock_guard lock(mutex_);
    return lines_ == std::vector<std::string>{"script changed: restarted", "two []"};
  }));
  lines();
  script("b.js", "console.log('b');");
  script("c.txt", "console.log('never');");
  fs::remove(folder_ / "scripts" / "a.js");
  EXPECT_TRUE(eventually([this] {
    const auto s = host_->status();
    return s.size() == 1 && s[0].name == "b.js";
  }));
}

// A recorder to the contract of rows R-20..R-27.
constexpr const char* kRecorder = R"js(
// Recorder under test
'use strict';
var seen = [], box = 'rec';
var on = env.RECORDING_KFL && kfl.validate(env.RECORDING_KFL);
if (env.RECORDING_KFL && !on) console.error('Invalid KFL: ' + env.RECORDING_KFL);
if (on) { file.delete(box); file.mkdir(box); note('on ' + env.RECORDING_KFL); }
function note(text) { console.log(text); }
function onItemCaptured(data) {
  if (!on || !kfl.match(env.RECORDING_KFL, data) || seen.indexOf(data.stream) !== -1) return;
  seen.push(data.stream);
  try { file.copy(pcap.path(data.stream), box + '/' + data.stream); } catch (e) { console.error('copy: ' + e); }
}
function deliver() {
  if (seen.length === 0) return;
  var key = JSON.parse(env.GCS_SA_KEY_JSON), tmp = box + '_tmp';
  try {
    file.delete(tmp);
    file.move(box, tmp);
    seen = [];
    file.mkdir(box);
    var merged = pcap.snapshot([], tmp);
    file.delete(tmp);
    note(vendor.gcs.put(env.GCS_BUCKET, merged, key));
    file.delete(merged);
    vendor.gcs.put(env.GCS_BUCKET, 'name_resolution_history.json', key);
  } catch (e) { console.error('Caught', e); }
}
jobs.schedule('rec', '0 */5 * * * *', deliver);
)js";

TEST_F(Host, RecorderUploadsWhatMatches) {
  seconds_ = 1'700'000'000;  // 22:13:20 UTC
  options_.env_json = R"({"RECORDING_KFL":"http","GCS_BUCKET":"b","GCS_SA_KEY_JSON":"{\"k\":1}"})";
  script("rec.js", kRecorder);
  start();
  EXPECT_THAT(lines(), ElementsAre("on http"));
  item(1);
  item(1);
  item(2);
  item(3, &kDns);
  EXPECT_TRUE(fs::exists(folder_ / "data" / "rec" / "000000000002.pcap"));
  EXPECT_FALSE(fs::exists(folder_ / "data" / "rec" / "000000000003.pcap"));
  seconds_ = 1'700'000'099;
  host_->settle();
  EXPECT_TRUE(puts().empty());
  seconds_ = 1'700'000'100;  // 22:15:00
  host_->settle();
  EXPECT_THAT(lines(), ElementsAre("https://storage.example/b/node-a_10.0.0.1_run1/1700000100.pcap"));
  EXPECT_THAT(puts(),
              ElementsAre("b node-a_10.0.0.1_run1/1700000100.pcap {\"k\":1} "
                          "packets of 000000000001.pcap;packets of 000000000002.pcap;",
                          HasSubstr("b node-a_10.0.0.1_run1/name_resolution_history.json {\"k\":1} {\"1700000000\"")));
  EXPECT_FALSE(fs::exists(folder_ / "data" / "1700000100.pcap"));
  seconds_ += 300;
  host_->settle();
  EXPECT_TRUE(puts().empty());  // nothing matched: nothing goes
}

TEST_F(Host, RemovingThePatternStopsTheRecordingAndLosesNothing) {
  const std::string rest = R"("GCS_BUCKET":"b","GCS_SA_KEY_JSON":"{}"})";
  options_.env_json = R"({"RECORDING_KFL":"http",)" + rest;
  script("rec.js", kRecorder);
  start();
  item(1);
  host_->set_env("{" + rest);
  host_->settle();
  EXPECT_EQ(puts().size(), 2U);  // with the old environment
  item(2);
  seconds_ += 600;
  host_->settle();
  EXPECT_TRUE(puts().empty());
  EXPECT_FALSE(fs::exists(folder_ / "data" / "rec" / "000000000002.pcap"));
  host_->set_env(R"({"RECORDING_KFL":"dns",)" + rest);
  host_->settle();
  item(3, &kDns);
  host_->stop();  // and so does the end
  EXPECT_THAT(puts(), ElementsAre(HasSubstr("packets of 000000000003.pcap;"), HasSubstr("name_resolution")));
}

TEST_F(Host, RecorderErrorPaths) {
  options_.env_json = R"({"RECORDING_KFL":"http ===","GCS_BUCKET":"b","GCS_SA_KEY_JSON":"{}"})";
  script("rec.js", kRecorder);
  start();
  EXPECT_THAT(lines(), ElementsAre("E Invalid KFL: http ==="));
  item(1);
  host_->set_env(R"({"RECORDING_KFL":"http","GCS_BUCKET":"b","GCS_SA_KEY_JSON":"{no"})");
  host_->settle();
  lines();
  script("watch.js", "function onJobFailed(tag, cron, limit, err) { console.log('failed', tag, err.split(':')[0]); }");
  EXPECT_TRUE(eventually([this] { return host_->status().size() == 2; }));
  lines();
  item(1);
  seconds_ += 300;
  host_->settle();
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("E job rec: rec.js:"), "failed rec SyntaxError"));
  {
    std::lock_guard lock(mutex_);
    fail_puts_ = true;
  }
  host_->set_env(R"({"RECORDING_KFL":"http","GCS_BUCKET":"b","GCS_SA_KEY_JSON":"{}"})");
  host_->settle();
  item(1);
  lines();
  seconds_ += 300;
  host_->settle();
  EXPECT_THAT(lines(), ElementsAre("E Caught Error: vendor.gcs.put: 503 try later"));
}

TEST_F(Host, SnapshotsOfOneSecondHaveDifferentNames) {
  EXPECT_THAT(run("file.mkdir('d'); var a = pcap.snapshot('d'), b = pcap.snapshot([], 'd'); file.delete(b);"
                  "console.log(a.slice(-16), b.slice(-18), pcap.snapshot('d').slice(-18))"),
              ElementsAre("/1700000000.pcap /1700000000_1.pcap /1700000000_2.pcap"));
}

TEST_F(Host, FilesStayInTheDataFolder) {
  std::ofstream(folder_ / "secret") << "s";
  fs::create_directory_symlink(folder_, folder_ / "data" / "link");
  fs::create_symlink(folder_ / "secret", folder_ / "data" / "flink");
  const char* const attempts[] = {
      "file.write('../x', 'a')",
      "file.write('/etc/x', 'a')",
      "file.write('a/../../x', 'a')",
      "file.write('link/x', 'a')",
      "file.write('flink', 'a')",
      "file.append('flink', 'a')",
      "file.copy('flink', 'y')",
      "file.copy('link/secret', 'y')",
      "file.copy('../secret', 'y')",
      "file.move('../secret', 'y')",
      "file.move('link/secret', 'y')",
      "file.delete('..')",
      "file.delete('.')",
      "file.delete('')",
      "file.delete('link/secret')",
      "file.mkdir('../d')",
      "file.mkdir('link/d')",
      "file.mkdirTemp('../d')",
      "file.mkdirTemp('d', '/tmp')",
      "file.temp('x', '..')",
      "file.temp('../../x')",
      "file.tar('..')",
      "file.tar('link')",
      "pcap.snapshot([], '..')",
      "pcap.snapshot('link')",
      "vendor.gcs.put('b', '../secret', '')",
      "vendor.gcs.put('b', 'flink', '')",
      "file.write('a\\0b', 'x')",
      "file.copy(file, 'x')",
      "file.temp('x', 'd', '/../../../y')",
      "vendor.gcs.put('b', '/etc/passwd', '')",
  };
  std::string text;
  for (const char* attempt : attempts)
    text += std::string("try { ") + attempt + "; console.log('DONE', " + "\"" + attempt + "\"" +
            "); } catch (e) { console.log(e instanceof Error); }\n";
  const auto out = run(text);
  EXPECT_EQ(out, std::vector<std::string>(std::size(attempts), "true"));
  EXPECT_TRUE(fs::exists(folder_ / "secret"));
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

TEST_F(Host, FileHelpers) {
  const std::string absolute = (folder_ / "data").string();
  EXPECT_THAT(run("file.write('a', 'one'); file.append('a', ' two'); file.mkdir('d/e'); file.copy('a', 'd/e');"
                  "file.copy('" +
                  absolute +
                  "/a', 'd/copy'); file.move('a', 'd/e/b'); file.move('d/e', 'f'); file.delete('gone');"
                  "file.delete('gone/deep'); file.mkdir('f'); var t = file.mkdirTemp('t', 'f'); var x = file.temp('n', "
                  "'f', 'json');"
                  "file.move('d', t); var n = file.tar('f'); var m = file.tar('f'); file.move(n, 'pre_' + n);"
                  "console.log(n, m, t.indexOf('f/t'), /^f\\/n\\d+\\.json$/.test(x)); file.delete('d');"),
              ElementsAre("kubeshark_1700000000.tar.gz kubeshark_1700000000_1.tar.gz 0 true"));
  const fs::path data = folder_ / "data";
  EXPECT_TRUE(fs::exists(data / "pre_kubeshark_1700000000.tar.gz"));
  EXPECT_TRUE(fs::exists(data / "f" / "a"));
  EXPECT_TRUE(fs::exists(data / "f" / "b"));
  const std::string list =
      "tar tzf " + (data / "pre_kubeshark_1700000000.tar.gz").string() + " > " + (folder_ / "list").string();
  ASSERT_EQ(std::system(list.c_str()), 0);
  std::stringstream names;
  names << std::ifstream(folder_ / "list").rdbuf();
  EXPECT_THAT(names.str(), HasSubstr("a\nb\nn"));
  EXPECT_THAT(names.str(), HasSubstr("/d/copy\n"));
}

TEST_F(Host, AnItemThatDoesNotFitIsDroppedAndCounted) {
  options_.ring_items = 8;
  options_.limits.call_budget = std::chrono::milliseconds(5000);
  script("a.js", "function onItemCaptured(d) { var t = Date.now(); while (Date.now() - t < 100); }");
  start();
  int dropped = 0;
  for (int i = 0; i < 64; ++i) dropped += !host_->feed().offer(make_item(pool_));
  EXPECT_GT(dropped, 40);
  EXPECT_EQ(host_->feed().dropped_items(), static_cast<uint64_t>(dropped));
}

}  // namespace
}  // namespace baleen::script
