#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cmd/fetch.h"
#include "index/recording_reader.h"

namespace CLI {
class App;
}

namespace baleen::cmd {

/// Where a query reads from: the options that `query` and `sql` share.
struct SourceOptions {
  std::string from, recording, since, until, cache, cache_limit = "4Gi";
  bool no_cache = false;
  std::vector<std::string> keys, key_logs, descriptors;  // files
  Access access;
  void add_to(CLI::App& command);
};

/// What is to be read of it.
struct SourceQuery {
  index::ReadQuery query;   // its filter is applied to captures while they are dissected
  std::string filter_text;  // which connections and flows captures are asked for
  bool packets = false;     // of captures: with the streams' packets
  bool may_come = false;    // the recording that is named need not be there yet
};

/// Recordings where they lie, or captures made into one.
class QuerySource {
 public:
  /// Fills in the query's recording and times from the options. kInvalid: they are wrong.
  static Result<> read_options(const SourceOptions& options, index::ReadQuery& query);
  static Result<std::unique_ptr<QuerySource>> open(SourceOptions& options, const SourceQuery& wanted);
  index::RecordingReader& reader() { return *reader_; }
  /// Whether it was captures, which end.
  bool captures() const { return captures_; }
  /// Says on standard error what was left out; whether something was.
  bool complain() const;
  /// Says on standard error what was read, and what that costs by the store's list prices.
  void explain() const;

 private:
  QuerySource() = default;
  Result<> open_captures(SourceOptions& options, const SourceQuery& wanted);
  std::string scheme_;
  bool captures_ = false;
  TemporaryFolder fetched_, made_;
  OpenedStore store_;
  std::unique_ptr<index::RecordingReader> reader_;
  std::vector<Error> problems_;
  std::string read_;     // of captures, for explain()
  uint64_t probes_ = 0;  // requests that told what lies there: lists
};

}  // namespace baleen::cmd
