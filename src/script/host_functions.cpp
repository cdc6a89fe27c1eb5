#include <algorithm>
#include <cmath>

#include "item/json.h"
#include "script/host.h"
#include "script/yaml.h"

// The helpers of reference section 4.3 that are the host's. Each is a lambda on the script thread; those in JavaScript
// are in prelude.cpp.

namespace baleen::script {
namespace {

constexpr size_t kMaxFilters = 1024;
constexpr size_t kMaxJobs = 1024;
constexpr size_t kMaxTimers = 16384;

/// A required text argument.
Result<std::string> text_of(Call& call, size_t i, std::string_view what) {
  if (call.is_missing(i)) return Error{Code::kInvalid, std::string(what) + " is missing"};
  return call.text(i);
}

Result<std::string> text_or_empty(Call& call, size_t i) {
  if (call.is_missing(i)) return std::string();
  return call.text(i);
}

/// Objects as JSON, everything else as text; what a body or a file's content is.
Result<std::string> content_of(Call& call, size_t i) {
  if (call.is_missing(i)) return std::string();
  return call.is_object(i) ? call.json(i) : call.text(i);
}

/// Plain objects and lists print as JSON, errors and functions as String() prints them.
Result<std::string> printed(Call& call, size_t i) {
  auto text = call.text(i);
  if (!text) return text;
  if (!call.is_object(i)) return text;
  const bool plain = text->starts_with("[object ") || text->find("Error") == std::string::npos;
  if (!plain) return text;
  auto json = call.json(i);
  if (!json) return json;
  return *json == "{}" && !text->starts_with("[object Object") ? text : json;  // Date, RegExp, Map
}

Argument undefined() { return std::monostate(); }

std::string in_quotes(std::string_view text) {
  std::string out;
  item::append_json(item::Value(text), out);
  return out;
}

}  // namespace

std::vector<HostFunction> ScriptHost::functions() {
  std::vector<HostFunction> out;
  add_console(out);
  add_files(out);
  add_pcap(out);
  add_kfl(out);
  add_jobs(out);
  add_timers(out);
  add_vendors(out);
  out.push_back({"utils.nodeName", [this](Call&) -> Result<Argument> { return Argument(options_.node_name); }});
  out.push_back({"utils.json2Yaml", [](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string json, content_of(call, 0));
                   Arena arena;
                   const auto value = item::parse_json(json, arena);
                   if (!value) return Error{Code::kInvalid, "utils.json2Yaml: that is not JSON"};
                   std::string yaml;
                   append_yaml(*value, yaml);
                   return Argument(std::move(yaml));
                 }});
  return out;
}

void ScriptHost::add_console(std::vector<HostFunction>& out) {
  const auto print = [this](ConsoleLine::Kind kind) {
    return [this, kind](Call& call) -> Result<Argument> {
      std::string line;
      for (size_t i = 0; i < call.size(); ++i) {
        BALEEN_TRY(const std::string part, printed(call, i));
        if (i != 0) line += ' ';
        line += part;
      }
      const Script* script = find(call.script());
      say(kind, script != nullptr ? script->source.title : std::string_view(), std::move(line));
      return undefined();
    };
  };
  out.push_back({"console.log", print(ConsoleLine::Kind::kLog)});
  out.push_back({"console.info", print(ConsoleLine::Kind::kLog)});
  out.push_back({"console.error", print(ConsoleLine::Kind::kError)});
  out.push_back({"console.warn", print(ConsoleLine::Kind::kError)});
  out.push_back({"console.clear", [this](Call& call) -> Result<Argument> {
                   const Script* script = find(call.script());
                   say(ConsoleLine::Kind::kClear, script != nullptr ? script->source.title : std::string_view(), {});
                   return undefined();
                 }});
}

void ScriptHost::add_files(std::vector<HostFunction>& out) {
  using Two = Result<> (DataFolder::*)(std::string_view, std::string_view) const;
  using One = Result<> (DataFolder::*)(std::string_view) const;
  const auto two = [this](Two method, const char* name) {
    return [this, method, name](Call& call) -> Result<Argument> {
      BALEEN_TRY(const std::string from, text_of(call, 0, std::string(name) + ": the source"));
      BALEEN_TRY(const std::string to, text_of(call, 1, std::string(name) + ": the destination"));
      BALEEN_TRY_DO((data_.*method)(from, to));
      return undefined();
    };
  };
  const auto one = [this](One method, const char* name) {
    return [this, method, name](Call& call) -> Result<Argument> {
      BALEEN_TRY(const std::string path, text_of(call, 0, std::string(name) + ": the path"));
      BALEEN_TRY_DO((data_.*method)(path));
      return undefined();
    };
  };
  const auto write = [this](bool append, const char* name) {
    return [this, append, name](Call& call) -> Result<Argument> {
      BALEEN_TRY(const std::string path, text_of(call, 0, std::string(name) + ": the path"));
      BALEEN_TRY(const std::string content, content_of(call, 1));
      BALEEN_TRY_DO(data_.write(path, content, append));
      return undefined();
    };
  };
  out.push_back({"file.write", write(false, "file.write")});
  out.push_back({"file.append", write(true, "file.append")});
  out.push_back({"file.move", two(&DataFolder::move, "file.move")});
  out.push_back({"file.copy", two(&DataFolder::copy, "file.copy")});
  out.push_back({"file.delete", one(&DataFolder::remove, "file.delete")});
  out.push_back({"file.mkdir", one(&DataFolder::make_folder, "file.mkdir")});
  out.push_back({"file.mkdirTemp", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string name, text_or_empty(call, 0));
                   BALEEN_TRY(const std::string in, text_or_empty(call, 1));
                   BALEEN_TRY(std::string path, data_.make_temporary_folder(name, in));
                   return Argument(std::move(path));
                 }});
  out.push_back({"file.temp", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string name, text_or_empty(call, 0));
                   BALEEN_TRY(const std::string in, text_or_empty(call, 1));
                   BALEEN_TRY(const std::string extension, text_or_empty(call, 2));
                   BALEEN_TRY(std::string path, data_.make_temporary_file(name, in, extension));
                   return Argument(std::move(path));
                 }});
  out.push_back({"file.tar", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string folder, text_or_empty(call, 0));
                   BALEEN_TRY(std::string path, data_.archive(folder, unix_now()));
                   return Argument(std::move(path));
                 }});
}

void ScriptHost::add_pcap(std::vector<HostFunction>& out) {
  out.push_back({"pcap.path", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string stream, text_of(call, 0, "pcap.path: the stream"));
                   if (!callbacks_.pcap_path) return Error{Code::kUnavailable, "pcap.path: no packets are kept here"};
                   BALEEN_TRY(std::string path, callbacks_.pcap_path(stream));
                   if (Script* script = find(call.script())) script->holds_packets = true;
                   return Argument(std::move(path));
                 }});
  out.push_back({"pcap.snapshot", [this](Call& call) -> Result<Argument> {
                   if (!callbacks_.snapshot)
                     return Error{Code::kUnavailable, "pcap.snapshot: no packets are kept here"};
                   SnapshotRequest request;
                   const bool only_folder = call.is_string(0);  // pcap.snapshot(dir)
                   if (!only_folder && !call.is_missing(0)) {
                     BALEEN_TRY(const std::string json, call.json(0));
                     Arena arena;
                     const auto list = item::parse_json(json, arena);
                     if (!list || !list->is_list())
                       return Error{Code::kInvalid, "pcap.snapshot: the streams are not a list"};
                     for (const item::Value& name : list->elements()) request.streams.emplace_back(name.text());
                   }
                   BALEEN_TRY(const std::string folder, text_or_empty(call, only_folder ? 0 : 1));
                   if (!folder.empty()) {
                     BALEEN_TRY(request.folder, data_.existing(folder));
                   }
                   BALEEN_TRY(const std::string name, data_.reserve(std::to_string(unix_now()), ".pcap"));
                   request.output = data_.path() + "/" + name;
                   auto path = callbacks_.snapshot(request);
                   if (!path) {
                     static_cast<void>(data_.remove(name).has_value());
                     return std::move(path).error().in("pcap.snapshot");
                   }
                   return Argument(*std::move(path));
                 }});
  out.push_back({"pcap.nameResolutionHistory", [this](Call&) -> Result<Argument> {
                   return Argument(
                       Json{callbacks_.name_resolution_history ? callbacks_.name_resolution_history() : "{}"});
                 }});
}

// ---- filters ----

const kfl::Compiled& ScriptHost::compiled(const std::string& text) {
  auto it = filters_.find(text);
  if (it != filters_.end()) return it->second;
  if (filters_.size() >= kMaxFilters) filters_.clear();
  return filters_.emplace(text, kfl::compile(text, options_.kfl)).first->second;
}

void ScriptHost::add_kfl(std::vector<HostFunction>& out) {
  out.push_back({"kfl.match", [this](Call& call) -> Result<Argument> {
                   // "" matches everything, but a pattern that is not there matches nothing: env.RECORDING_KFL of a
                   // configuration from which it was removed must not record the world.
                   if (call.is_missing(0)) return Argument(false);
                   BALEEN_TRY(const std::string text, call.text(0));
                   const kfl::Compiled& filter = compiled(text);
                   if (!filter.filter)
                     return Error{Code::kInvalid, "kfl.match: " + kfl::render(text, filter.diagnostics)};
                   if (const item::Item* item = call.item(1)) return Argument(filter.filter->matches(*item));
                   if (!call.is_object(1)) return Argument(text.empty());
                   BALEEN_TRY(const std::string json, call.json(1));
                   Arena arena;
                   const auto value = item::parse_json(json, arena);
                   return Argument(value && filter.filter->matches_json(*value));
                 }});
  out.push_back({"kfl.validate", [this](Call& call) -> Result<Argument> {
                   if (call.is_missing(0)) return Argument(false);
                   BALEEN_TRY(const std::string text, call.text(0));
                   return Argument(compiled(text).filter.has_value());
                 }});
}

// ---- jobs and timers ----

void ScriptHost::add_jobs(std::vector<HostFunction>& out) {
  out.push_back({"jobs.schedule", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string tag, text_of(call, 0, "jobs.schedule: the tag"));
                   BALEEN_TRY(const std::string cron_text, text_of(call, 1, "jobs.schedule: the cron"));
                   BALEEN_TRY(const Cron cron, Cron::parse(cron_text));
                   if (!call.is_function(2))
                     return Error{Code::kInvalid, "jobs.schedule: the third argument is no function"};
                   double limit = 0;
                   if (!call.is_missing(3)) {
                     BALEEN_TRY(limit, call.number(3));
                   }
                   if (!(limit >= 0 && limit < 1e15)) limit = 0;
                   const auto old = jobs_.find(tag);
                   if (old == jobs_.end() && jobs_.size() >= kMaxJobs) return Error{Code::kInvalid, "too many jobs"};
                   BALEEN_TRY(const FunctionId function, call.hold(2, 4));
                   if (old != jobs_.end()) engine_->release(old->second.function);
                   jobs_.insert_or_assign(
                       tag, Job{call.script(), tag, cron_text, cron, function, static_cast<int64_t>(limit), 0,
                                cron.next(unix_now(), options_.utc_offset)});
                   return undefined();
                 }});
  out.push_back({"jobs.remove", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string tag, text_of(call, 0, "jobs.remove: the tag"));
                   const auto it = jobs_.find(tag);
                   if (it == jobs_.end()) return undefined();
                   engine_->release(it->second.function);
                   jobs_.erase(it);
                   return undefined();
                 }});
  out.push_back({"jobs.removeAll", [this](Call&) -> Result<Argument> {
                   for (const auto& [_, job] : jobs_) engine_->release(job.function);
                   jobs_.clear();
                   return undefined();
                 }});
  out.push_back({"jobs.list", [this](Call&) -> Result<Argument> {
                   std::string json = "[";
                   for (const auto& [tag, _] : jobs_) json += (json.size() > 1 ? "," : "") + in_quotes(tag);
                   return Argument(Json{json + "]"});
                 }});
  // Jobs that a script asks for run when it has returned.
  out.push_back({"jobs.run", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string tag, text_of(call, 0, "jobs.run: the tag"));
                   if (!jobs_.contains(tag)) return Error{Code::kNotFound, "jobs.run: there is no job \"" + tag + "\""};
                   if (wanted_runs_.size() < kMaxJobs) wanted_runs_.push_back(tag);
                   return undefined();
                 }});
  out.push_back({"jobs.runAll", [this](Call&) -> Result<Argument> {
                   for (const auto& [tag, _] : jobs_)
                     if (wanted_runs_.size() < kMaxJobs) wanted_runs_.push_back(tag);
                   return undefined();
                 }});
  out.push_back(
      {"jobs.scheduler.isRunning", [this](Call&) -> Result<Argument> { return Argument(scheduler_running_); }});
  out.push_back({"jobs.scheduler.start", [this](Call&) -> Result<Argument> {
                   if (!scheduler_running_)  // what fell due meanwhile is not made up for
                     for (auto& [_, job] : jobs_) job.next = job.cron.next(unix_now(), options_.utc_offset);
                   scheduler_running_ = true;
                   return undefined();
                 }});
  out.push_back({"jobs.scheduler.stop", [this](Call&) -> Result<Argument> {
                   scheduler_running_ = false;
                   return undefined();
                 }});
}

void ScriptHost::add_timers(std::vector<HostFunction>& out) {
  const auto start = [this](bool repeat) {
    return [this, repeat](Call& call) -> Result<Argument> {
      if (!call.is_function(0)) return Error{Code::kInvalid, "the first argument of a timer is no function"};
      if (timers_.size() >= kMaxTimers) return Error{Code::kInvalid, "too many timers"};
      double ms = 0;
      if (!call.is_missing(1)) {
        BALEEN_TRY(ms, call.number(1));
      }
      if (!(ms > 0)) ms = 0;
      const auto delay = std::chrono::milliseconds(static_cast<int64_t>(std::min(ms, 2147483647.0)));
      const auto period = repeat ? std::max(delay, std::chrono::milliseconds(1)) : std::chrono::milliseconds(0);
      BALEEN_TRY(const FunctionId function, call.hold(0, 2));
      timers_[next_timer_] = {std::chrono::steady_clock::now() + delay, period, call.script(), function};
      return Argument(static_cast<double>(next_timer_++));
    };
  };
  const auto clear = [this](Call& call) -> Result<Argument> {
    if (call.is_missing(0)) return undefined();
    BALEEN_TRY(const double number, call.number(0));
    if (!(number >= 1 && number <= 4294967295.0)) return undefined();
    const auto it = timers_.find(static_cast<uint32_t>(number));
    if (it == timers_.end()) return undefined();
    engine_->release(it->second.function);
    timers_.erase(it);
    return undefined();
  };
  out.push_back({"setTimeout", start(false)});
  out.push_back({"setInterval", start(true)});
  out.push_back({"clearTimeout", clear});
  out.push_back({"clearInterval", clear});
}

// ---- buckets and webhooks ----

Result<std::string> ScriptHost::upload_path(std::string_view path) {
  BALEEN_TRY(const std::string relative, data_.relative(path));
  if (relative == "name_resolution_history.json" && !data_.exists(path)) dump_names(true);
  return data_.existing(path);
}

Result<Argument> ScriptHost::put(ScriptId by, const std::function<Result<std::string>(const Upload&)>& callback,
                                 std::string_view name, const std::string& bucket, const std::string& path,
                                 std::string credentials, bool with_run) {
  if (!callback) return Error{Code::kUnavailable, std::string(name) + " is not available in this program"};
  if (bucket.empty()) return Error{Code::kInvalid, std::string(name) + ": the bucket is missing"};
  auto file = upload_path(path);
  if (!file) return std::move(file).error().in(name);
  std::string folder = options_.node_name + "_" + options_.node_ip;
  if (with_run) folder += "_" + options_.run_id;
  auto url = callback({bucket, folder + "/" + file->substr(file->rfind('/') + 1), *file, std::move(credentials)});
  if (!url) return std::move(url).error().in(name);
  if (Script* script = find(by)) script->holds_packets = false;
  return Argument(*std::move(url));
}

void ScriptHost::add_vendors(std::vector<HostFunction>& out) {
  out.push_back({"vendor.gcs.put", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string bucket, text_of(call, 0, "vendor.gcs.put: the bucket"));
                   BALEEN_TRY(const std::string path, text_of(call, 1, "vendor.gcs.put: the path"));
                   BALEEN_TRY(std::string key, content_of(call, 2));
                   return put(call.script(), callbacks_.gcs_put, "vendor.gcs.put", bucket, path, std::move(key), true);
                 }});
  out.push_back({"vendor.gcs.clear", [this](Call& call) -> Result<Argument> {
                   BALEEN_TRY(const std::string bucket, text_of(call, 0, "vendor.gcs.clear: the bucket"));
                   BALEEN_TRY(std::string key, content_of(call, 1));
                   if (!callbacks_.gcs_clear)
                     return Error{Code::kUnavailable, "vendor.gcs.clear is not available in this program"};
                   BALEEN_TRY_DO(
                       callbacks_.gcs_clear({bucket, options_.node_name + "_" + options_.node_ip, {}, std::move(key)}));
                   return undefined();
                 }});
  out.push_back({"vendor.s3.put", [this](Call& call) -> Result<Argument> {
                   std::string a[5];
                   for (size_t i = 0; i < 5; ++i) {
                     BALEEN_TRY(a[i], text_or_empty(call, i));
                   }
                   // The older order was (region, keyID, accessKey, bucket, path); the file says which it is.
                   const bool old = call.size() >= 5 && !data_.exists(a[1]) && data_.exists(a[4]);
                   const std::string &region = old ? a[0] : a[2], &id = old ? a[1] : a[3], &secret = old ? a[2] : a[4];
                   const std::string credentials = "{\"region\":" + in_quotes(region) +
                                                   ",\"accessKeyId\":" + in_quotes(id) +
                                                   ",\"secretAccessKey\":" + in_quotes(secret) + "}";
                   return put(call.script(), callbacks_.s3_put, "vendor.s3.put", old ? a[3] : a[0], old ? a[4] : a[1],
                              credentials, true);
                 }});
  out.push_back({"vendor.s3.clear", [this](Call& call) -> Result<Argument> {
                   std::string a[4];
                   for (size_t i = 0; i < 4; ++i) {
                     BALEEN_TRY(a[i], text_or_empty(call, i));
                   }
                   if (!callbacks_.s3_clear)
                     return Error{Code::kUnavailable, "vendor.s3.clear is not available in this program"};
                   BALEEN_TRY_DO(
                       callbacks_.s3_clear({a[3],
                                            options_.node_name + "_" + options_.node_ip,
                                            {},
                                            "{\"region\":" + in_quotes(a[0]) + ",\"accessKeyId\":" + in_quotes(a[1]) +
                                                ",\"secretAccessKey\":" + in_quotes(a[2]) + "}"}));
                   return undefined();
                 }});
  out.push_back({"vendor.azure.put", [this](Call& call) -> Result<Argument> {
                   std::string a[5];
                   for (size_t i = 0; i < 5; ++i) {
                     BALEEN_TRY(a[i], text_or_empty(call, i));
                   }
                   return put(call.script(), callbacks_.azure_put, "vendor.azure.put", a[0], a[1],
                              "{\"account\":" + in_quotes(a[2]) + ",\"key\":" + in_quotes(a[3]) +
                                  ",\"connectionString\":" + in_quotes(a[4]) + "}",
                              false);
                 }});
  out.push_back({"vendor.webhook", [this](Call& call) -> Result<Argument> {
                   HttpRequest request;
                   BALEEN_TRY(request.method, text_of(call, 0, "vendor.webhook: the method"));
                   BALEEN_TRY(request.url, text_of(call, 1, "vendor.webhook: the URL"));
                   BALEEN_TRY(request.body, content_of(call, 2));
                   BALEEN_TRY(request.headers, content_of(call, 3));
                   if (!callbacks_.http)
                     return Error{Code::kUnavailable, "vendor.webhook is not available in this program"};
                   BALEEN_TRY(std::string body, callbacks_.http(request));
                   return Argument(std::move(body));
                 }});
}

}  // namespace baleen::script
