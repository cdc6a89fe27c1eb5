#include "cmd/follow.h"

#include <fmt/core.h>

#include <algorithm>

namespace baleen::cmd {

Follow::Follow(FollowOptions options) : options_(options) {
  sigemptyset(&signals_);
  for (const int s : {SIGINT, SIGTERM}) sigaddset(&signals_, s);
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
}

Follow::~Follow() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

/// Whether one of the signals has come, or comes within that time.
bool Follow::stopped(Duration patience) {
  const int64_t ns = std::max<int64_t>(patience.count(), 0);
  const timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
  return sigtimedwait(&signals_, nullptr, &time) > 0;
}

Result<> Follow::run(index::RecordingReader& reader, index::ReadQuery query, QueryOutput& output) {
  constexpr Duration kLongestWait = std::chrono::minutes(1);
  index::Followed followed;
  const uint64_t limit = query.limit != 0 ? query.limit : query.filter.limit();
  const Timestamp since = query.since;
  query.limit = UINT64_MAX;  // over all looks, so it is counted here
  bool over = false;
  Duration wait = options_.poll;
  while (!over) {
    const auto looked = reader.new_items(query, followed, [&](const index::StoredItem& item) {
      over = !output.add(item) || output.written() == limit || stopped({});
      return !over;
    });
    BALEEN_TRY_DO(output.flush());
    if (!looked && !looked.error().retryable()) return looked;
    if (!looked) {
      fmt::print(stderr, "baleen: {}; trying again\n", looked.error().message);
      wait = std::min(wait * 2, kLongestWait);
    } else {
      wait = options_.poll;
      // What lies in folders of hours long ago is known by now.
      if (followed.pending.empty()) query.listed_from = std::max(since, now() - options_.lateness);
    }
    over = over || stopped(wait);
  }
  return {};
}

}  // namespace baleen::cmd
