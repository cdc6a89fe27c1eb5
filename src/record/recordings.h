#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kfl/kfl.h"
#include "record/recorder.h"
#include "record/redaction.h"
#include "record/schedule.h"

namespace baleen::record {

/// kInvalid: it is a folder in the bucket, a member of lists, and stands between commas in an item.
Result<> check_recording_name(std::string_view name);

/// What the user asked for.
struct Definition {
  enum class Origin {
    kConfig,   // the configuration file has it: it goes when it goes there
    kCommand,  // --record of a command line: begins anew with every start, and is gone with it
    kControl,  // made while running; stays until it is deleted
  };
  std::string name, description, pattern, destination;
  Schedule schedule;
  Duration expiration{0};                     // age at which its blocks may be removed from the bucket; 0: never
  uint64_t limit_bytes = 0, limit_items = 0;  // of packets, of items; 0: none
  RedactionRules redact{};                    // beside those that hold for all recordings of the node
  Duration look_back{0};                      // what was captured so long before an iteration begins is recorded, too
  std::string scope;         // pcap-filter: every stream with such a packet, matched or not; "everything"; empty: none
  bool undissected = false;  // streams that no dissector understands
  Origin origin = Origin::kControl;
  bool operator==(const Definition&) const = default;
  /// What is wrong with it, but for its pattern.
  Result<> check() const;
};

/// A recording at one moment.
struct RecordingStatus {
  Definition definition;
  Progress progress;
  Phase phase = Phase::kScheduled;
  std::optional<Timestamp> next_change;
  uint64_t items = 0, streams = 0, packets = 0, bytes = 0;
  std::string problem;  // its pattern does not compile: it records nothing
};

/// The JSON of docs/reference/recordings.md: what the state file, the control socket and `-o ndjson` have. One line.
std::string to_json(const RecordingStatus& status);
std::string to_json(const RedactionRules& rules);
/// A definition as `create` takes it; unknown members are an error.
Result<Definition> definition_from_json(std::string_view text);

/// All recordings of a node: those of the configuration and those made while running, scheduled, kept over restarts,
/// and handed to the recorder when they are to run. Any thread.
///
/// The state is a file that is replaced in one step whenever something changes, and every few seconds while items come
/// in: what was paused, stopped or over before a kill -9 is so after it.
class Recordings {
 public:
  using CompileRedaction = std::function<Result<std::shared_ptr<const Redaction>>(const RedactionRules& own)>;
  struct Options {
    std::string file;  // empty: nothing is kept (reading files of packets)
    std::function<Result<kfl::Filter>(const std::string& pattern)> compile;
    CompileRedaction redaction;                         // adds the rules of all recordings; null of no rules at all
    std::function<void(std::vector<Recording>)> apply;  // the recorder's set_recordings; may be empty
    std::function<Instant()> clock = this_instant;
    bool untimed = false;  // schedules do not matter: everything runs at once
  };
  static constexpr size_t kMost = 1000;  // known ones; of these Recorder::kMostRecordings run at a time

  /// kConflict when another process has the file.
  static Result<std::unique_ptr<Recordings>> open(Options options);
  ~Recordings();

  /// What the configuration has now, all of it: new ones begin, changed ones go on with what has changed, those that
  /// are gone end. Nothing changes when one of them is wrong.
  Result<> configure(std::vector<Definition> definitions);

  Result<RecordingStatus> create(Definition definition);
  Result<RecordingStatus> pause(const std::string& name);
  /// Goes on after a pause or a stop.
  Result<RecordingStatus> resume(const std::string& name);
  Result<RecordingStatus> stop(const std::string& name);
  /// Its iteration that runs, and all that come, last `by` longer. A recording whose only iteration is over begins
  /// another one of that length.
  Result<RecordingStatus> extend(const std::string& name, Duration by);
  /// Forgets it. What it has recorded stays where it is. One of the configuration is stopped instead: it would come
  /// back.
  Result<> remove(const std::string& name);
  Result<RecordingStatus> show(const std::string& name) const;
  /// Those whose name, description, pattern or destination contains `text`; by name.
  std::vector<RecordingStatus> list(std::string_view text = {}) const;
  /// Whether any runs now or is to run.
  bool any_to_come() const;

  /// Who gets the recordings that are to run from now on; gets them at once.
  void set_apply(std::function<void(std::vector<Recording>)> apply);
  /// Other rules for all recordings; nothing changes when they do not compile.
  Result<> set_redaction(CompileRedaction redaction);
  /// Begins to look at the clock.
  void start();
  void stop_clock();
  /// Looks at the clock now.
  void tick();
  /// Writes down what the recorder has counted since.
  void save_now();
  /// Why the state could not be written; empty: it could.
  std::string problem() const;

 private:
  struct Known {
    Definition definition;
    Progress progress;
    std::shared_ptr<Tally> tally = std::make_shared<Tally>();
    std::optional<kfl::Filter> filter;           // none: it records nothing, see `problem`
    std::shared_ptr<const Redaction> redaction;  // null: no rules
    Scope scope;
    std::string problem;
    bool in_force = false;  // the recorder has it
    bool queued = false;    // it would have, and has too many
  };
  explicit Recordings(Options options) : options_(std::move(options)) {}
  Result<> load();
  void compile(Known& known) const;
  void begin(Known& known, Definition definition);
  void change(Known& known, Definition definition);
  Result<> check_new(const Definition& definition) const;
  Result<Known*> find(const std::string& name);
  RecordingStatus status_of(const Known& known) const;
  static Recording recording_of(const Known& known);
  static std::string beginning_of(const Known& known);
  void update(bool must_save);
  void hand_over(std::vector<Known*> candidates);
  Result<RecordingStatus> changed(Known& known);
  void save();
  std::string state_json() const;

  Options options_;
  UniqueFd lock_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Known> known_;
  std::string applied_, saved_, saved_shape_, saved_tallies_, problem_;
  Duration saved_at_{0};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace baleen::record
