#include "record/recordings.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/log.h"
#include "base/replace_file.h"
#include "store/object_store.h"

namespace baleen::record {
namespace {

using nlohmann::json;

constexpr int kStateVersion = 1;
constexpr auto kTick = std::chrono::milliseconds(250);
constexpr Duration kSaveEvery = std::chrono::seconds(5);
constexpr size_t kLongestName = 200;

json progress_json(const Progress& p) {
  return {{"created_ns", to_ns(p.created)},
          {"paused", p.paused},
          {"stopped", p.stopped},
          {"full", p.full},
          {"running", p.running},
          {"next", p.next},
          {"done", p.done},
          {"missed", p.missed},
          {"began_ns", to_ns(p.began)},
          {"ended_ns", to_ns(p.ended)},
          {"left_ns", p.left.count()},
          {"seen_ns", to_ns(p.seen.wall)},
          {"clock_jumps", p.clock_jumps}};
}

Progress progress_of(const json& j) {
  Progress p;
  p.created = timestamp_from_ns(j.at("created_ns"));
  p.paused = j.at("paused");
  p.stopped = j.at("stopped");
  p.full = j.at("full");
  p.running = j.at("running");
  p.next = j.at("next");
  p.done = j.at("done");
  p.missed = j.at("missed");
  p.began = timestamp_from_ns(j.at("began_ns"));
  p.ended = timestamp_from_ns(j.at("ended_ns"));
  p.left = Duration(j.at("left_ns").get<int64_t>());
  p.seen.wall = timestamp_from_ns(j.at("seen_ns"));
  p.clock_jumps = j.at("clock_jumps");
  return p;
}

bool contains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
         }) != text.end();
}

/// Texts of a definition stand in records, which are JSON.
bool is_utf8(const std::string& text) try {
  static_cast<void>(json(text).dump());
  return true;
} catch (const json::exception&) {
  return false;
}

}  // namespace

Result<> check_recording_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || name.find_first_of("/\\=,\n\"") != std::string::npos ||
      name.starts_with('.'))
    return Error{Code::kInvalid,
                 fmt::format("'{}' must be a name that a folder can have, without / \\ = , and \"", name)};
  return {};
}

Result<> Definition::check() const {
  for (const std::string* text : {&name, &description, &pattern, &destination, &schedule.timezone, &scope})
    if (!is_utf8(*text))
      return Error{Code::kInvalid, "a recording's name, pattern, destination and other texts are UTF-8"};
  BALEEN_TRY_DO(check_recording_name(name));
  if (destination.empty())
    return Error{Code::kInvalid,
                 fmt::format("recording '{}' has no destination: gs://bucket/prefix, or a folder", name)};
  if (const auto location = store::Location::parse(destination); !location)
    return location.error().in(fmt::format("recording '{}'", name));
  if (expiration < Duration{0}) return Error{Code::kInvalid, "an expiration is not negative"};
  if (look_back < Duration{0}) return Error{Code::kInvalid, "look_back is how long before the beginning: not negative"};
  if (const auto compiled = Scope::compile(scope); !compiled)
    return compiled.error().in(fmt::format("recording '{}': scope", name));
  if (const auto checked = schedule.check(); !checked) return checked.error().in(fmt::format("recording '{}'", name));
  return {};
}

Result<std::unique_ptr<Recordings>> Recordings::open(Options options) {
  if (!options.redaction)
    options.redaction = [](const RedactionRules& own) -> Result<std::shared_ptr<const Redaction>> {
      if (own.empty()) return std::shared_ptr<const Redaction>();
      return Redaction::compile(own, {});
    };
  std::unique_ptr<Recordings> recordings(new Recordings(std::move(options)));
  if (recordings->options_.file.empty()) return recordings;
  const std::string path = recordings->options_.file + ".lock";
  recordings->lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!recordings->lock_) return errno_error(path, errno);
  if (::flock(recordings->lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{Code::kConflict,
                 fmt::format("another process uses the data folder {}: stop it, or choose another with dataDir",
                             std::filesystem::path(path).parent_path().string())};
  BALEEN_TRY_DO(recordings->load());
  return recordings;
}

Recordings::~Recordings() { stop_clock(); }

/// A file that cannot be read is an error: to go on without it would forget what was asked, and then overwrite it.
Result<> Recordings::load() try {
  std::ifstream in(options_.file, std::ios::binary);
  if (!in) return errno == ENOENT ? Result<>() : errno_error(options_.file, errno);
  std::ostringstream text;
  text << in.rdbuf();
  const json j = json::parse(text.str());
  if (j.at("version").get<int>() > kStateVersion)
    return Error{Code::kInvalid, options_.file + " was written by a newer program: use that one"};
  for (const json& entry : j.at("recordings")) {
    BALEEN_TRY(Definition definition, definition_from_json(entry.at("definition").dump()));
    // What a command line asked for ended with its process.
    if (definition.origin == Definition::Origin::kCommand) continue;
    Known& known = known_[definition.name];
    known.definition = std::move(definition);
    known.progress = progress_of(entry.at("progress"));
    const json& tally = entry.at("tally");
    known.tally->items = tally.at("items").get<uint64_t>();
    known.tally->streams = tally.at("streams").get<uint64_t>();
    known.tally->packets = tally.at("packets").get<uint64_t>();
    known.tally->bytes = tally.at("bytes").get<uint64_t>();
    resume_after_restart(known.definition.schedule, known.progress, options_.clock());
    compile(known);
  }
  saved_ = text.str();
  return {};
} catch (const json::exception& e) {
  return Error{Code::kInvalid, fmt::format("{} is damaged ({}): mend it or move it away", options_.file, e.what())};
}

void Recordings::compile(Known& known) const {
  auto filter = options_.compile(known.definition.pattern);
  known.problem = filter ? "" : filter.error().message;
  known.filter.reset();
  auto redaction = options_.redaction(known.definition.redact);
  // Without its rules nothing is recorded: what they are to keep out would be in the bucket.
  if (!redaction) known.problem = redaction.error().message;
  if (filter && redaction) known.filter = *std::move(filter);
  known.redaction = redaction ? *std::move(redaction) : nullptr;
  auto scope = Scope::compile(known.definition.scope);
  if (!scope) known.problem = scope.error().message;
  known.scope = scope ? *std::move(scope) : Scope();
}

void Recordings::begin(Known& known, Definition definition) {
  known = Known{};
  known.definition = std::move(definition);
  known.progress.created = options_.clock().wall;
  compile(known);
}

/// Another time begins anew; everything else goes on with what is so far.
void Recordings::change(Known& known, Definition definition) {
  if (!(definition.schedule == known.definition.schedule)) {
    known.progress = {};
    known.progress.created = options_.clock().wall;
  }
  known.progress.full = false;  // if it still is, that is seen at once
  const bool anew = definition.pattern != known.definition.pattern || definition.redact != known.definition.redact ||
                    definition.scope != known.definition.scope || !known.filter;
  known.definition = std::move(definition);
  if (anew) compile(known);
}

Result<> Recordings::check_new(const Definition& definition) const {
  BALEEN_TRY_DO(definition.check());
  if (auto filter = options_.compile(definition.pattern); !filter)
    return filter.error().in(fmt::format("recording '{}'", definition.name));
  if (auto redaction = options_.redaction(definition.redact); !redaction)
    return redaction.error().in(fmt::format("recording '{}'", definition.name));
  return {};
}

Result<> Recordings::configure(std::vector<Definition> definitions) {
  for (const Definition& d : definitions) BALEEN_TRY_DO(check_new(d));
  const std::lock_guard lock(mutex_);
  std::set<std::string> names;
  for (Definition& d : definitions) {
    names.insert(d.name);
    const auto known = known_.find(d.name);
    if (known == known_.end()) {
      Known& fresh = known_[d.name];
      begin(fresh, std::move(d));
    } else if (!(known->second.definition == d)) {
      change(known->second, std::move(d));
    }
  }
  std::erase_if(known_, [&](const auto& entry) {
    return entry.second.definition.origin != Definition::Origin::kControl && !names.contains(entry.first);
  });
  update(true);
  return {};
}

Result<RecordingStatus> Recordings::create(Definition definition) {
  BALEEN_TRY_DO(check_new(definition));
  definition.origin = Definition::Origin::kControl;
  const std::lock_guard lock(mutex_);
  if (known_.contains(definition.name))
    return Error{Code::kConflict, fmt::format("there is a recording '{}' already", definition.name)};
  if (known_.size() >= kMost) return Error{Code::kConflict, fmt::format("there are {} recordings; delete some", kMost)};
  Known& known = known_[definition.name];
  begin(known, std::move(definition));
  return changed(known);
}

Result<Recordings::Known*> Recordings::find(const std::string& name) {
  const auto known = known_.find(name);
  if (known == known_.end()) return Error{Code::kNotFound, fmt::format("there is no recording '{}'", name)};
  return &known->second;
}

Result<RecordingStatus> Recordings::changed(Known& known) {
  update(true);
  if (!problem_.empty()) return Error{Code::kIo, "it is so now, but could not be written down: " + problem_};
  return status_of(known);
}

Result<RecordingStatus> Recordings::pause(const std::string& name) {
  const std::lock_guard lock(mutex_);
  BALEEN_TRY(Known* const known, find(name));
  known->progress.paused = true;
  return changed(*known);
}

Result<RecordingStatus> Recordings::resume(const std::string& name) {
  const std::lock_guard lock(mutex_);
  BALEEN_TRY(Known* const known, find(name));
  Progress& p = known->progress;
  p.paused = false;
  if (std::exchange(p.stopped, false) && known->definition.schedule.iterations == 1) {
    // Its only iteration was cut short: what is left of it is another one, from now on.
    p.next = 0;
    p.created = options_.clock().wall;
    known->definition.schedule.start.reset();
  }
  return changed(*known);
}

Result<RecordingStatus> Recordings::stop(const std::string& name) {
  const std::lock_guard lock(mutex_);
  BALEEN_TRY(Known* const known, find(name));
  known->progress.stopped = true;
  return changed(*known);
}

Result<RecordingStatus> Recordings::extend(const std::string& name, Duration by) {
  const std::lock_guard lock(mutex_);
  BALEEN_TRY(Known* const known, find(name));
  Schedule& schedule = known->definition.schedule;
  Progress& p = known->progress;
  if (by <= Duration{0}) return Error{Code::kInvalid, "extend by a positive duration"};
  if (schedule.duration == Duration{0})
    return Error{Code::kInvalid,
                 fmt::format("recording '{}' runs until it is stopped: there is nothing to extend", name)};
  if (phase_of(schedule, p) == Phase::kDone) {
    if (schedule.iterations != 1)
      return Error{Code::kInvalid, fmt::format("all iterations of recording '{}' are over: create another one", name)};
    p.next = 0;
    p.created = options_.clock().wall;
    schedule.start.reset();
    schedule.duration = by;
    return changed(*known);
  }
  Schedule longer = schedule;
  longer.duration += by;
  BALEEN_TRY_DO(longer.check());
  schedule = longer;
  if (p.running) p.left += by;
  return changed(*known);
}

Result<> Recordings::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  BALEEN_TRY(Known* const known, find(name));
  if (known->definition.origin == Definition::Origin::kControl) {
    known_.erase(name);
  } else {
    known->progress.stopped = true;
  }
  update(true);
  if (!problem_.empty()) return Error{Code::kIo, "it is gone, but that could not be written down: " + problem_};
  return {};
}

RecordingStatus Recordings::status_of(const Known& known) const {
  RecordingStatus s;
  s.definition = known.definition;
  s.progress = known.progress;
  s.phase = phase_of(known.definition.schedule, known.progress);
  if (s.phase == Phase::kRunning && known.queued) s.phase = Phase::kQueued;
  s.next_change = next_change(known.definition.schedule, known.progress);
  s.items = known.tally->items;
  s.streams = known.tally->streams;
  s.packets = known.tally->packets;
  s.bytes = known.tally->bytes;
  s.problem = known.problem;
  return s;
}

Result<RecordingStatus> Recordings::show(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto known = known_.find(name);
  if (known == known_.end()) return Error{Code::kNotFound, fmt::format("there is no recording '{}'", name)};
  return status_of(known->second);
}

std::vector<RecordingStatus> Recordings::list(std::string_view text) const {
  const std::lock_guard lock(mutex_);
  std::vector<RecordingStatus> out;
  for (const auto& [name, known] : known_) {
    const Definition& d = known.definition;
    if (contains(d.name, text) || contains(d.description, text) || contains(d.pattern, text) ||
        contains(d.destination, text))
      out.push_back(status_of(known));
  }
  return out;
}

bool Recordings::any_to_come() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(known_.begin(), known_.end(), [](const auto& entry) {
    const Phase phase = phase_of(entry.second.definition.schedule, entry.second.progress);
    return phase == Phase::kScheduled || phase == Phase::kRunning || phase == Phase::kPaused;
  });
}

/// REQUIRES: the mutex is held. Takes time on, hands the recorder what runs when that is not what it has, and writes
/// the state down when it must, when something but the time has changed, and now and then while there is more in it.
void Recordings::update(bool must_save) {
  const Instant now = options_.clock();
  std::vector<Known*> candidates;
  std::string shape, tallies;
  for (auto& [name, known] : known_) {
    const Definition& d = known.definition;
    known.progress.full = recording_of(known).is_full();
    if (!options_.untimed) advance(d.schedule, known.progress, now);
    const Phase phase = !options_.untimed        ? phase_of(d.schedule, known.progress)
                        : known.progress.full    ? Phase::kFull
                        : known.progress.stopped ? Phase::kStopped
                                                 : Phase::kRunning;
    const Progress& p = known.progress;
    shape += fmt::format("{}\n{} {} {} {}\n", name, static_cast<int>(phase), p.next, p.missed, p.clock_jumps);
    tallies += fmt::format("{} {} ", known.tally->items.load(), known.tally->packets.load());
    if (phase == Phase::kRunning && known.filter) {
      candidates.push_back(&known);
    } else {
      known.in_force = known.queued = false;
    }
  }
  // The state first: what runs is known after a crash.
  const bool time_to_save = tallies != saved_tallies_ && now.steady - saved_at_ >= kSaveEvery;
  if (must_save || shape != saved_shape_ || time_to_save) {
    saved_shape_ = shape;
    saved_tallies_ = tallies;
    saved_at_ = now.steady;
    save();
  }
  hand_over(std::move(candidates));
}

/// REQUIRES: the mutex is held. When they are too many, those that run go on.
void Recordings::hand_over(std::vector<Known*> candidates) {
  std::stable_partition(candidates.begin(), candidates.end(), [](const Known* known) { return known->in_force; });
  for (size_t i = 0; i < candidates.size(); ++i) {
    Known& known = *candidates[i];
    known.in_force = i < Recorder::kMostRecordings;
    known.queued = !known.in_force;
    known.problem = known.in_force ? "" : fmt::format("{} recordings run: it waits for one to end", i);
  }
  std::vector<Recording> running;
  std::string applied;
  for (auto& [name, known] : known_) {
    if (!known.in_force) continue;
    const Definition& d = known.definition;
    applied += fmt::format("{}\n{}\n{}\n{} {} {}\n{} {} {}\n", name, d.pattern, d.destination, d.limit_items,
                           d.limit_bytes, known.redaction ? to_json(known.redaction->rules()) : "", d.scope,
                           d.undissected, beginning_of(known));
    running.push_back(recording_of(known));
  }
  if (applied == applied_ || !options_.apply) return;
  applied_ = applied;
  options_.apply(std::move(running));
}

Recording Recordings::recording_of(const Known& known) {
  const Definition& d = known.definition;
  Recording r;
  r.name = d.name;
  r.filter = known.filter.value_or(kfl::Filter());
  r.destination = d.destination;
  r.tally = known.tally;
  r.limit_items = d.limit_items;
  r.limit_bytes = d.limit_bytes;
  r.redaction = known.redaction;
  // Who asks for a scope, or for what nobody understands, and names no pattern does not mean every item.
  r.by_filter = !d.pattern.empty() || (!known.scope.any() && !d.undissected);
  r.asks_recordings = d.pattern.find("record") != std::string::npos;
  r.scope = known.scope;
  r.undissected = d.undissected;
  r.look_back = d.look_back;
  r.beginning = beginning_of(known);
  return r;
}

/// Another word for each iteration: what lies before its beginning is looked at once, also after a pause.
std::string Recordings::beginning_of(const Known& known) {
  return fmt::format("{} {}", to_ns(known.progress.created), known.progress.next);
}

/// REQUIRES: the mutex is held.
std::string Recordings::state_json() const {
  json list = json::array();
  for (const auto& [name, known] : known_) {
    const RecordingStatus s = status_of(known);
    json definition = json::parse(to_json(s));
    definition.erase("state");
    list.push_back(
        {{"definition", std::move(definition)},
         {"progress", progress_json(s.progress)},
         {"tally", {{"items", s.items}, {"streams", s.streams}, {"packets", s.packets}, {"bytes", s.bytes}}}});
  }
  return json{{"version", kStateVersion}, {"recordings", std::move(list)}}.dump(1, ' ', false,
                                                                                json::error_handler_t::replace) +
         "\n";
}

/// REQUIRES: the mutex is held. Tried again with the next tick when it fails.
void Recordings::save() {
  if (options_.file.empty()) return;
  const std::string state = state_json();
  if (state == saved_ || (known_.empty() && saved_.empty())) return;
  if (const auto written = replace_file(options_.file, state); !written) {
    if (problem_ != written.error().message) log::warning("recordings: {}", written.error().message);
    problem_ = written.error().message;
    saved_shape_.clear();
    return;
  }
  problem_.clear();
  saved_ = state;
}

void Recordings::set_apply(std::function<void(std::vector<Recording>)> apply) {
  const std::lock_guard lock(mutex_);
  options_.apply = std::move(apply);
  applied_.clear();
  update(false);
}

Result<> Recordings::set_redaction(CompileRedaction redaction) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, known] : known_)
    if (auto compiled = redaction(known.definition.redact); !compiled) return std::move(compiled).error();
  options_.redaction = std::move(redaction);
  for (auto& [name, known] : known_) compile(known);
  update(false);
  return {};
}

void Recordings::save_now() {
  const std::lock_guard lock(mutex_);
  save();
}

void Recordings::tick() {
  const std::lock_guard lock(mutex_);
  update(false);
}

void Recordings::start() {
  thread_ = std::thread([this] {
    name_this_thread("bl-recordings");
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      update(false);
      wake_.wait_for(lock, kTick, [this] { return stopping_; });
    }
  });
}

void Recordings::stop_clock() {
  {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
  const std::lock_guard lock(mutex_);
  save();
}

std::string Recordings::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace baleen::record
