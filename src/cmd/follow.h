#pragma once

#include <signal.h>

#include "base/clock.h"
#include "base/result.h"
#include "cmd/query_output.h"
#include "index/recording_reader.h"

namespace baleen::cmd {

struct FollowOptions {
  Duration poll{}, lateness{};
};

/// Reads recordings that are still being written, again and again, until SIGINT or SIGTERM. Items of the blocks that
/// one look has found come in order; a block that comes late brings older ones. One at a time in a process.
class Follow {
 public:
  /// Takes the two signals until it goes.
  explicit Follow(FollowOptions options);
  ~Follow();
  Follow(const Follow&) = delete;
  Follow& operator=(const Follow&) = delete;
  Result<> run(index::RecordingReader& reader, index::ReadQuery query, QueryOutput& output);

 private:
  bool stopped(Duration patience);
  FollowOptions options_;
  sigset_t signals_{}, before_{};
};

}  // namespace baleen::cmd
