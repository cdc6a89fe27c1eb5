#include "index/item_scan.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>

#include "base/arena.h"
#include "base/task_thread.h"
#include "item/json.h"
#include "kfl/fields.h"

// The caller's thread merges: it has the next row of each open block and hands on the least one. Workers fill: a block
// that has run out of rows is in a queue until a worker has read on, so far that it has found a few that match. While
// the merger hands on what it has of a block, a worker may already look for more of it.

namespace baleen::index {
namespace {

constexpr size_t kMostBatch = 512;           // rows found before they are handed over
constexpr size_t kMostBatchBytes = 1 << 20;  // ... or bytes of them
constexpr size_t kFetchAhead = 16;           // blocks that are fetched at a time, once it is clear that many are needed

struct Row {
  int64_t time_ns, index;
  std::string stream, json, packets_object;
  std::shared_ptr<WholeRow> whole;
};

struct Cursor {
  size_t block = 0;
  std::string_view node, name;
  std::string file;
  std::unique_ptr<ParquetRows> rows;  // the worker's, while it fills
  size_t batch = 1;                   // first rows come soon, later ones in numbers
  // The merger's.
  std::vector<Row> ready;
  size_t next = 0;
  // Under the scan's mutex.
  std::vector<Row> found;
  bool filling = false, ended = false;
  std::optional<Error> error;

  const Row& head() const { return ready[next]; }
  auto key() const { return std::tie(head().time_ns, node, head().stream, head().index, name); }
};

/// The filter, as readers ask it. What they read to no purpose they do not make values of.
class Question {
 public:
  explicit Question(const kfl::Filter& filter) : filter_(filter) {
    if (const auto paths = kfl::fields_read(filter)) fields_.emplace(*paths);
  }
  bool matches(std::string_view json) const {
    thread_local Arena arena;
    arena.clear();
    const auto root = fields_ ? item::parse_json(json, arena, *fields_) : item::parse_json(json, arena);
    asked_.fetch_add(1, std::memory_order_relaxed);
    return root && filter_.matches_json(*root);
  }
  uint64_t asked() const { return asked_; }

 private:
  const kfl::Filter& filter_;
  std::optional<item::JsonFields> fields_;
  mutable std::atomic<uint64_t> asked_{0};
};

class Scan {
 public:
  Scan(const ScanQuery& query, ScanBlocks& blocks, ParquetReader& reader)
      : query_(query), blocks_(blocks), reader_(reader) {
    const unsigned machine = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
    threads_ = query.threads != 0 ? query.threads : machine;
    for (unsigned i = 0; i < threads_; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Scan() {
    stopping_ = true;
    {
      const std::lock_guard lock(mutex_);
      work_.notify_all();
    }
    workers_.clear();
    for (const auto& cursor : open_) blocks_.done(cursor->block);
    for (size_t block = next_block_; block < fetched_until_; ++block) blocks_.done(block);
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  Result<> run(const std::function<bool(const StoredItem&, size_t)>& each, ScanCounters& counters) {
    StoredItem item;
    Result<> outcome;
    while (true) {
      outcome = open_what_begins();
      if (!outcome || heap_.empty()) break;
      std::pop_heap(heap_.begin(), heap_.end(), later);
      Cursor& cursor = *heap_.back();
      Row& row = cursor.ready[cursor.next];
      item.time_ns = row.time_ns;
      item.stream.swap(row.stream);
      item.json.swap(row.json);
      item.packets_object.swap(row.packets_object);
      item.index = row.index;
      item.node = cursor.node;
      item.block = cursor.name;
      item.row = std::move(row.whole);
      ++cursor.next;
      ++matches_;
      const size_t block = cursor.block;
      if (!each(item, block)) break;
      if (cursor.next < cursor.ready.size()) {
        std::push_heap(heap_.begin(), heap_.end(), later);
        continue;
      }
      heap_.pop_back();
      outcome = refill(cursor);
      if (!outcome) break;
    }
    counters.matches += matches_;
    return outcome;
  }

 private:
  int64_t since() const {
    return query_.after != nullptr ? std::max(query_.since_ns, query_.after->time_ns) : query_.since_ns;
  }
  int64_t first_of(size_t block) const { return std::max(to_ns(blocks_.first(block)), since()); }
  bool comes_after(const RowView& row, const Cursor& cursor) const {
    const Position& p = *query_.after;
    return std::tie(row.time_ns, cursor.node, row.stream, row.index, cursor.name) >
           std::make_tuple(p.time_ns, std::string_view(p.node), std::string_view(p.stream), p.index,
                           std::string_view(p.block));
  }
  static bool later(const Cursor* a, const Cursor* b) { return a->key() > b->key(); }

  /// Opens blocks, and waits for their first rows, until the least row at hand comes before all of the others. In a
  /// long scan more of them are open than that: workers always find one to read.
  Result<> open_what_begins() {
    while (true) {
      const int64_t least = heap_.empty() ? INT64_MAX : heap_.front()->head().time_ns;
      BALEEN_TRY_DO(open_until(least));
      if (opened_.empty()) {
        if (heap_.empty() && next_block_ < blocks_.count()) continue;  // there was nothing in those
        return {};
      }
      Cursor* const earliest = opened_.front();
      if (!heap_.empty() && first_of(earliest->block) > least) return {};
      opened_.pop_front();
      BALEEN_TRY_DO(refill(*earliest));
    }
  }

  /// Without a row at hand (`least` is INT64_MAX): the next block, and those that begin by its first time.
  Result<> open_until(int64_t least) {
    const size_t ahead = ended_ == 0 ? 0 : 2 * threads_;
    if (least == INT64_MAX && opened_.empty() && next_block_ < blocks_.count()) least = first_of(next_block_);
    while (next_block_ < blocks_.count() &&
           (open_.size() < ahead || (least != INT64_MAX && first_of(next_block_) <= least)))
      BALEEN_TRY_DO(open_next(least));
    return {};
  }

  Result<> open_next(int64_t until) {
    if (next_block_ == fetched_until_) {
      size_t end = next_block_ + 1;
      while (end < blocks_.count() && end < next_block_ + kFetchAhead &&
             (first_of(end) <= until || end < next_block_ + fetch_))
        ++end;
      BALEEN_TRY(files_, blocks_.fetch(next_block_, end));
      fetched_from_ = next_block_;
      fetched_until_ = end;
      fetch_ = std::min(2 * fetch_, kFetchAhead);
    }
    const size_t block = next_block_++;
    std::string& file = files_[block - fetched_from_];
    if (file.empty()) {
      blocks_.done(block);
      return {};
    }
    open_.push_back(std::make_unique<Cursor>());
    Cursor& cursor = *open_.back();
    cursor.block = block;
    cursor.node = blocks_.node(block);
    cursor.name = blocks_.name(block);
    cursor.file = std::move(file);
    opened_.push_back(&cursor);
    const std::lock_guard lock(mutex_);
    ask_for_more(cursor);
    return {};
  }

  /// REQUIRES: the mutex is held, and no worker has the cursor.
  void ask_for_more(Cursor& cursor) {
    cursor.filling = true;
    queue_.push_back(&cursor);
    work_.notify_one();
  }

  /// Gives the cursor its next rows and puts it into the heap, or closes it.
  Result<> refill(Cursor& cursor) {
    {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [&] { return !cursor.filling; });
      cursor.ready.clear();
      cursor.next = 0;
      cursor.ready.swap(cursor.found);
      if (!cursor.ended) ask_for_more(cursor);
    }
    if (!cursor.ready.empty()) {
      heap_.push_back(&cursor);
      std::push_heap(heap_.begin(), heap_.end(), later);
      return {};
    }
    const size_t block = cursor.block;
    const std::optional<Error> error = std::move(cursor.error);
    std::erase_if(open_, [&](const auto& c) { return c.get() == &cursor; });
    blocks_.done(block);
    ++ended_;
    return error ? blocks_.failed(block, *error) : Result<>();
  }

  void work() {
    name_this_thread("bl-scan");
    while (true) {
      Cursor* cursor = nullptr;
      {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (stopping_) return;
        cursor = queue_.front();
        queue_.pop_front();
      }
      std::vector<Row> found;
      const Result<bool> more = fill(*cursor, found);
      const std::lock_guard lock(mutex_);
      cursor->found = std::move(found);
      cursor->filling = false;
      cursor->ended = !more || !*more;
      if (!more) cursor->error = more.error();
      done_.notify_one();
    }
  }

  /// Reads on until enough rows are found; false at the end.
  Result<bool> fill(Cursor& cursor, std::vector<Row>& found) {
    if (!cursor.rows) {
      BALEEN_TRY(cursor.rows, reader_.rows(cursor.file, since(), query_.until_ns, query_.condition, query_.whole_rows));
    }
    size_t bytes = 0;
    while (found.size() < cursor.batch && bytes < kMostBatchBytes && !stopping_) {
      BALEEN_TRY(const bool more, cursor.rows->next([&](const RowView& row) {
        if (query_.after != nullptr && !comes_after(row, cursor)) return;
        bytes += row.json.size();
        found.push_back({row.time_ns, row.index, std::string(row.stream), std::string(row.json),
                         std::string(row.packets_object),
                         row.row != nullptr ? std::make_shared<WholeRow>(std::move(*row.row)) : nullptr});
      }));
      if (!more) {
        cursor.rows.reset();
        return false;
      }
    }
    cursor.batch = std::min(2 * cursor.batch, kMostBatch);
    return true;
  }

  const ScanQuery& query_;
  ScanBlocks& blocks_;
  ParquetReader& reader_;
  unsigned threads_;
  std::atomic<bool> stopping_{false};
  uint64_t matches_ = 0, ended_ = 0;
  size_t next_block_ = 0, fetched_from_ = 0, fetched_until_ = 0, fetch_ = 1;
  std::vector<std::string> files_;
  std::vector<std::unique_ptr<Cursor>> open_;
  std::vector<Cursor*> heap_;   // of open ones that have a row ready
  std::deque<Cursor*> opened_;  // open ones whose first rows were not waited for yet, by first time
  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<Cursor*> queue_;
  std::vector<std::jthread> workers_;
};

}  // namespace

Result<> scan_items(const ScanQuery& query, ScanBlocks& blocks,
                    const std::function<bool(const StoredItem&, size_t block)>& each, ScanCounters& counters) {
  if (blocks.count() == 0) return {};
  const Question question(query.filter);
  BALEEN_TRY(const auto reader,
             ParquetReader::open([&question](std::string_view json) { return question.matches(json); }));
  Scan scan(query, blocks, *reader);
  const auto outcome = scan.run(each, counters);
  counters.rows += question.asked();
  return outcome;
}

}  // namespace baleen::index
