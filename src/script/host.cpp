#include "script/host.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <future>

#include "item/json.h"

// The script thread turns in a loop: commands, items, packets, timers, jobs, changed files; then it sleeps. While it
// sleeps `sleeping_` is set, and the first producer to see that wakes it; a busy thread is never woken. Before it
// sleeps it naps some milliseconds, so a steady trickle of items costs its producers no system call.

namespace baleen::script {
namespace {

using Steady = std::chrono::steady_clock;
constexpr size_t kBatch = 256;
constexpr int kNaps = 4;
constexpr size_t kMaxCommands = 4096;
constexpr uint32_t kErrorsPerWindow = 10;
constexpr int64_t kWindowSeconds = 10;
constexpr size_t kMaxLine = 64 * 1024;

}  // namespace

bool ScriptFeed::offer(item::ItemRef item) {
  if (!host_.wants_items()) return true;
  if (!items_.push(std::move(item))) {
    dropped_items_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  host_.wake();
  return true;
}

void ScriptFeed::offer(const PacketFacts& packet) {
  if (!host_.wants_packets()) return;
  PacketFacts copy = packet;
  if (!packets_.push(std::move(copy)))
    dropped_packets_.fetch_add(1, std::memory_order_relaxed);
  else
    host_.wake();
}

ScriptHost::ScriptHost(HostOptions options, HostCallbacks callbacks)
    : options_(std::move(options)), callbacks_(std::move(callbacks)) {
  for (size_t i = 0; i < std::max<size_t>(options_.feeds, 1); ++i)
    feeds_.push_back(std::make_unique<ScriptFeed>(*this, options_.ring_items));
}

ScriptHost::~ScriptHost() { stop(); }

Result<> ScriptHost::start() {
  wake_.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_) return errno_error("eventfd", errno);
  BALEEN_TRY(data_, DataFolder::open(options_.data_folder));
  files_ = std::make_unique<ScriptFiles>(options_.scripts_folder, options_.script_files);
  env_ = options_.env_json;
  std::promise<Result<>> started;
  auto done = started.get_future();
  thread_ = std::thread([this, &started] { run([&](Result<> result) { started.set_value(std::move(result)); }); });
  Result<> result = done.get();
  if (!result) thread_.join();
  return result;
}

void ScriptHost::stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  sleeping_ = true;
  wake();
  thread_.join();
}

void ScriptHost::wake() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!sleeping_.load(std::memory_order_relaxed) || !sleeping_.exchange(false)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void ScriptHost::post(std::function<void()> command) {
  {
    std::lock_guard lock(mutex_);
    if (commands_.size() >= kMaxCommands) commands_.pop_front();
    commands_.push_back(std::move(command));
  }
  wake();
}

void ScriptHost::post_and_wait(std::function<void()> command) {
  if (!thread_.joinable()) return;
  auto done = std::make_shared<std::promise<void>>();
  auto future = done->get_future();
  post([command = std::move(command), done] {
    command();
    done->set_value();
  });
  while (future.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready)
    if (stop_) break;
  if (stop_) future.wait_for(std::chrono::seconds(1));
}

void ScriptHost::run(std::function<void(Result<>)> started) {
  auto engine = make_engine(options_.limits, functions());
  if (!engine) return started(std::move(engine).error());
  engine_ = *std::move(engine);
  if (auto result = engine_->restart(env_); !result) {
    engine_.reset();
    return started(std::move(result).error().in("scripting.env"));
  }
  if (options_.watch)
    if (auto watched = files_->watch(); !watched)
      say(ConsoleLine::Kind::kError, {}, "scripts are not watched for changes: " + watched.error().message);
  load_all();
  started({});
  int naps = 0;
  while (!stop_) {
    if (turn()) {
      naps = 0;
    } else if (++naps <= kNaps) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } else {
      wait();
      naps = 0;
    }
  }
  while (drain_feeds()) {
  }
  run_commands();
  for (auto& script : scripts_) end(*script, true);
  engine_.reset();
}

/// True when there was something to do.
bool ScriptHost::turn() {
  bool busy = run_commands();
  busy |= drain_feeds();
  busy |= run_timers();
  busy |= run_jobs();
  if (files_->take_changes()) rescan_at_ = Steady::now() + std::chrono::milliseconds(100);  // editors write in steps
  if (rescan_at_ && Steady::now() >= *rescan_at_) {
    rescan_at_.reset();
    rescan();
    busy = true;
  }
  dump_names(false);
  return busy;
}

void ScriptHost::wait() {
  auto until = std::chrono::milliseconds(1000);
  const auto now = Steady::now();
  for (const auto& [_, timer] : timers_)
    until = std::min(until, std::chrono::ceil<std::chrono::milliseconds>(timer.due - now));
  if (rescan_at_) until = std::min(until, std::chrono::ceil<std::chrono::milliseconds>(*rescan_at_ - now));
  if (!jobs_.empty()) {  // by the jobs' clock, whose seconds need not be ours: look often
    const auto into = options_.clock().time_since_epoch() % std::chrono::seconds(1);
    until = std::min(until, std::chrono::ceil<std::chrono::milliseconds>(std::chrono::seconds(1) - into));
  }
  sleeping_.store(true);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  bool waiting = stop_;
  for (const auto& feed : feeds_) waiting |= feed->items_.size() != 0 || feed->packets_.size() != 0;
  {
    std::lock_guard lock(mutex_);
    waiting |= !commands_.empty();
  }
  if (!waiting) {
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {files_->descriptor(), POLLIN, 0}};
    ::poll(fds, files_->descriptor() >= 0 ? 2 : 1, static_cast<int>(std::max<int64_t>(until.count(), 0)));
  }
  sleeping_.store(false);
  uint64_t ignored = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &ignored, sizeof ignored);
}

bool ScriptHost::run_commands() {
  std::deque<std::function<void()>> commands;
  {
    std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (auto& command : commands) command();
  return !commands.empty();
}

bool ScriptHost::drain_feeds() {
  bool any = false;
  item::ItemRef item;
  PacketFacts packet;
  for (auto& feed : feeds_) {
    for (size_t i = 0; i < kBatch && feed->items_.pop(item); ++i) {
      any = true;
      items_seen_.fetch_add(1, std::memory_order_relaxed);
      for (size_t s = 0; s < scripts_.size(); ++s) {
        const ScriptId id = scripts_[s]->id;
        if (id == 0 || !engine_->has(id, Hook::kItemCaptured)) continue;
        const CallResult result = engine_->call_item(id, Hook::kItemCaptured, item);
        if (!result.ok()) after_call(id, result, "onItemCaptured");
      }
      item.reset();
    }
    for (size_t i = 0; i < kBatch && feed->packets_.pop(packet); ++i) {
      any = true;
      for (size_t s = 0; s < scripts_.size(); ++s) {
        const ScriptId id = scripts_[s]->id;
        if (id == 0 || !engine_->has(id, Hook::kPacketCaptured)) continue;
        const CallResult result = engine_->call_packet(id, packet);
        if (!result.ok()) after_call(id, result, "onPacketCaptured");
      }
    }
  }
  if (any)
    for (auto& [id, text] : engine_->take_rejections()) after_call(id, {Outcome::kThrew, text, text, {}}, "promise");
  return any;
}

// ---- scripts ----

bool ScriptHost::is_active(const ScriptSource& source) const {
  if (options_.active.empty()) return true;
  for (const std::string& wanted : options_.active)
    if (wanted == source.title || wanted == source.name || wanted + ".js" == source.name) return true;
  return false;
}

ScriptHost::Script* ScriptHost::find(ScriptId id) {
  for (auto& script : scripts_)
    if (script->id == id) return script.get();
  return nullptr;
}

void ScriptHost::load_all() {
  std::vector<std::string> problems;
  for (ScriptSource& source : files_->read(problems)) {
    if (!is_active(source)) continue;
    scripts_.push_back(std::make_unique<Script>());
    scripts_.back()->source = std::move(source);
    load(*scripts_.back());
  }
  for (std::string& problem : problems) say(ConsoleLine::Kind::kError, {}, std::move(problem));
  refresh_wishes();
}

void ScriptHost::load(Script& script) {
  script.id = next_id_++;
  script.trouble.clear();
  script.strikes = 0;
  script.holds_packets = false;
  const ScriptId id = script.id;
  const CallResult result = engine_->load(id, script.source.name, script.source.text);
  if (!result.ok()) {
    after_call(id, result, "load");
    if (script.id != 0) disable(script, result.error);
  }
  for (auto& [by, text] : engine_->take_rejections()) after_call(by, {Outcome::kThrew, text, text, {}}, "promise");
}

void ScriptHost::end(Script& script, bool flush) {
  if (script.id == 0) return;
  const ScriptId id = script.id;
  if (flush && script.holds_packets) {
    std::vector<std::string> tags;
    for (const auto& [tag, job] : jobs_)
      if (job.script == id) tags.push_back(tag);
    for (const std::string& tag : tags) run_job(tag);
  }
  script.id = 0;
  std::erase_if(jobs_, [id](const auto& entry) { return entry.second.script == id; });
  std::erase_if(timers_, [id](const auto& entry) { return entry.second.script == id; });
  engine_->unload(id);
}

void ScriptHost::disable(Script& script, const std::string& why) {
  script.trouble = why;
  end(script, false);
  refresh_wishes();
}

void ScriptHost::rescan() {
  std::vector<std::string> problems;
  std::vector<ScriptSource> found = files_->read(problems);
  std::erase_if(found, [this](const ScriptSource& source) { return !is_active(source); });
  for (size_t i = scripts_.size(); i-- > 0;) {
    Script& script = *scripts_[i];
    const auto same = std::find_if(found.begin(), found.end(),
                                   [&](const ScriptSource& source) { return source.path == script.source.path; });
    if (same == found.end()) {
      end(script, true);
      say(ConsoleLine::Kind::kLog, script.source.title, "script removed");
      scripts_.erase(scripts_.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    if (same->text != script.source.text) {
      end(script, true);
      script.source = std::move(*same);
      say(ConsoleLine::Kind::kLog, script.source.title, "script changed: restarted");
      load(script);
    }
    found.erase(same);
  }
  for (ScriptSource& source : found) {
    scripts_.push_back(std::make_unique<Script>());
    scripts_.back()->source = std::move(source);
    say(ConsoleLine::Kind::kLog, scripts_.back()->source.title, "script added");
    load(*scripts_.back());
  }
  for (std::string& problem : problems) say(ConsoleLine::Kind::kError, {}, std::move(problem));
  refresh_wishes();
}

void ScriptHost::restart(const std::string& env_json) {
  {
    Arena arena;
    const auto parsed = item::parse_json(env_json, arena);
    if (!parsed || !parsed->is_map())
      return say(ConsoleLine::Kind::kError, {}, "scripting.env is not a map: kept as it was");
  }
  for (auto& script : scripts_) end(*script, true);
  env_ = env_json;
  jobs_.clear();
  timers_.clear();
  wanted_runs_.clear();
  if (auto result = engine_->restart(env_); !result) return say(ConsoleLine::Kind::kError, {}, result.error().message);
  for (auto& script : scripts_) load(*script);
  refresh_wishes();
}

void ScriptHost::refresh_wishes() {
  bool packets = false, items = false;
  for (const auto& script : scripts_) {
    if (script->id == 0) continue;
    packets |= engine_->has(script->id, Hook::kPacketCaptured);
    items |= engine_->has(script->id, Hook::kItemCaptured);
  }
  wants_packets_ = packets;
  wants_items_ = items;
}

/// Says what went wrong, not more often than anybody reads, and takes the consequences.
void ScriptHost::after_call(ScriptId id, const CallResult& result, std::string_view what) {
  if (result.ok()) return;
  Script* script = find(id);
  if (script == nullptr) return;
  ++script->errors;
  const int64_t at = Steady::now().time_since_epoch() / std::chrono::seconds(1);
  if (at - script->window_begin >= kWindowSeconds) {
    if (script->window_errors > kErrorsPerWindow)
      say(ConsoleLine::Kind::kError, script->source.title,
          std::to_string(script->window_errors - kErrorsPerWindow) + " more errors were not shown");
    script->window_begin = at;
    script->window_errors = 0;
  }
  if (script->window_errors++ < kErrorsPerWindow)
    say(ConsoleLine::Kind::kError, script->source.title, std::string(what) + ": " + result.error);
  if (result.outcome == Outcome::kTimedOut && ++script->strikes >= options_.strikes) {
    say(ConsoleLine::Kind::kError, script->source.title, "script stopped: it ran too long, again and again");
    disable(*script, "ran too long");
  }
  if (result.outcome != Outcome::kOutOfMemory) return;
  say(ConsoleLine::Kind::kError, script->source.title, "script stopped: it used too much memory");
  disable(*script, "used too much memory");
  engine_->collect_garbage();
  if (engine_->heap_bytes() < options_.limits.heap_bytes / 4 * 3) return;
  // It was not the only one, or what it made hangs on the global object.
  std::vector<Script*> running;
  for (auto& other : scripts_)
    if (other->id != 0) running.push_back(other.get());
  for (Script* other : running) end(*other, true);
  if (auto restarted = engine_->restart(env_); !restarted)
    return say(ConsoleLine::Kind::kError, {}, restarted.error().message);
  say(ConsoleLine::Kind::kError, {}, "the scripts' heap is full: all other scripts were restarted");
  for (Script* other : running) load(*other);
  refresh_wishes();
}

void ScriptHost::say(ConsoleLine::Kind kind, std::string_view script, std::string text) {
  if (!callbacks_.console) return;
  if (text.size() > kMaxLine) {
    text.resize(kMaxLine);
    text += "...";
  }
  callbacks_.console({kind, options_.clock(), std::string(script), std::move(text)});
}

void ScriptHost::broadcast(Hook hook, const std::vector<Argument>& arguments) {
  for (size_t i = 0; i < scripts_.size(); ++i) {
    const ScriptId id = scripts_[i]->id;
    if (id == 0 || !engine_->has(id, hook)) continue;
    after_call(id, engine_->call_hook(id, hook, arguments), hook_name(hook));
  }
}

// ---- jobs and timers ----

int64_t ScriptHost::unix_now() const {
  return std::chrono::floor<std::chrono::seconds>(options_.clock()).time_since_epoch().count();
}

bool ScriptHost::run_jobs() {
  std::vector<std::string> due = std::move(wanted_runs_);
  wanted_runs_.clear();
  if (scheduler_running_ && !jobs_.empty()) {
    const int64_t now = unix_now();
    for (auto& [tag, job] : jobs_) {
      if (!job.next || *job.next > now) continue;
      job.next = job.cron.next(now, options_.utc_offset);
      due.push_back(tag);
    }
  }
  for (const std::string& tag : due) run_job(tag);
  return !due.empty();
}

void ScriptHost::run_job(const std::string& tag) {
  const auto it = jobs_.find(tag);
  if (it == jobs_.end()) return;
  const ScriptId id = it->second.script;
  const std::string cron_text = it->second.cron_text;
  const auto limit = static_cast<double>(it->second.limit);
  ++it->second.runs;
  const CallResult result = engine_->call_held(it->second.function, options_.limits.job_budget);
  const auto again = jobs_.find(tag);  // the job may have removed itself
  if (again != jobs_.end() && again->second.limit > 0 && again->second.runs >= again->second.limit) {
    engine_->release(again->second.function);
    jobs_.erase(again);
  }
  after_call(id, result, "job " + tag);
  if (result.ok())
    broadcast(Hook::kJobPassed, {tag, cron_text, limit});
  else
    broadcast(Hook::kJobFailed, {tag, cron_text, limit, result.message});
  for (auto& [by, text] : engine_->take_rejections()) after_call(by, {Outcome::kThrew, text, text, {}}, "promise");
}

bool ScriptHost::run_timers() {
  if (timers_.empty()) return false;
  const auto now = Steady::now();
  std::vector<uint32_t> due;
  for (const auto& [number, timer] : timers_)
    if (timer.due <= now) due.push_back(number);
  std::sort(due.begin(), due.end(), [this](uint32_t a, uint32_t b) {
    const auto x = timers_.at(a).due, y = timers_.at(b).due;
    return x != y ? x < y : a < b;
  });
  for (const uint32_t number : due) {
    auto it = timers_.find(number);
    if (it == timers_.end()) continue;  // another one cleared it
    const Timer timer = it->second;
    if (timer.period.count() > 0)
      it->second.due = now + timer.period;
    else
      timers_.erase(it);
    after_call(timer.script, engine_->call_held(timer.function, options_.limits.call_budget), "timer");
    if (timer.period.count() == 0) engine_->release(timer.function);
  }
  for (auto& [by, text] : engine_->take_rejections()) after_call(by, {Outcome::kThrew, text, text, {}}, "promise");
  return !due.empty();
}

/// Reference row R-45: the file lies in the data folder, a few seconds old at most.
void ScriptHost::dump_names(bool force) {
  constexpr int64_t kEvery = 3;
  constexpr std::string_view kName = "name_resolution_history.json", kPart = ".name_resolution_history.part";
  if (!callbacks_.name_resolution_history || (scripts_.empty() && !force)) return;
  const int64_t now = Steady::now().time_since_epoch() / std::chrono::seconds(1);
  if (!force && now - names_dumped_ < kEvery) return;
  names_dumped_ = now;
  if (data_.write(kPart, callbacks_.name_resolution_history(), false))
    if (auto moved = data_.move(kPart, kName); !moved) say(ConsoleLine::Kind::kError, {}, moved.error().message);
}

// ---- from other threads ----

void ScriptHost::set_env(std::string env_json) {
  post([this, env = std::move(env_json)] {
    if (env != env_) restart(env);
  });
}

std::optional<std::string> ScriptHost::item_queried(const item::ItemRef& item, const std::string& filter) {
  auto answer = std::make_shared<std::optional<std::string>>();
  post_and_wait([this, item, filter, answer] {
    for (size_t i = 0; i < scripts_.size(); ++i) {
      const ScriptId id = scripts_[i]->id;
      if (id == 0 || !engine_->has(id, Hook::kItemQueried)) continue;
      CallResult result = engine_->call_item(id, Hook::kItemQueried, item, filter);
      if (result.ok() && !result.returned.empty()) *answer = std::move(result.returned);
      after_call(id, result, "onItemQueried");
    }
  });
  return *answer;
}

void ScriptHost::pod_event(std::string event, std::string pod_json) {
  post([this, e = std::move(event), p = std::move(pod_json)] { broadcast(Hook::kPodEvent, {e, Json{p}}); });
}

void ScriptHost::hub_action(std::string action, std::string object_json) {
  post([this, a = std::move(action), o = std::move(object_json)] { broadcast(Hook::kHubAction, {a, Json{o}}); });
}

void ScriptHost::log_call(std::string level, std::string message) {
  post([this, l = std::move(level), m = std::move(message)] { broadcast(Hook::kLogCall, {l, m}); });
}

std::vector<ScriptStatus> ScriptHost::status() {
  auto out = std::make_shared<std::vector<ScriptStatus>>();
  post_and_wait([this, out] {
    for (const auto& s : scripts_) out->push_back({s->source.name, s->source.title, s->id != 0, s->trouble, s->errors});
  });
  return *out;
}

void ScriptHost::settle() {
  post_and_wait([this] {
    while (drain_feeds()) {
    }
    run_jobs();
    run_jobs();  // what jobs.run() asked for meanwhile
  });
}

}  // namespace baleen::script
