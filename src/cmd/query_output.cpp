#include "cmd/query_output.h"

#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "cmd/curl.h"
#include "cmd/fetch.h"
#include "cmd/har.h"
#include "cmd/printing.h"
#include "dissect/registry.h"
#include "index/item_csv.h"
#include "item/json.h"
#include "item/row.h"

namespace baleen::cmd {
namespace {

const item::Protocol* card_of(const item::Value& item) {
  const std::string_view abbreviation = item["protocol"]["abbr"].text(), version = item["protocol"]["version"].text();
  const item::Protocol* card = nullptr;
  for (const item::Protocol* candidate : dissect::cards())
    if (candidate->abbreviation == abbreviation && (card == nullptr || candidate->version == version)) card = candidate;
  return card;
}

class TableOutput final : public QueryOutput {
 public:
  TableOutput(const kfl::Filter& filter, ByteSink& sink) : QueryOutput(filter, sink), printer_(Format::kTable) {
    // What prints tables prints them to standard output.
    if (!sink.path().empty()) ::dup2(sink.fd(), STDOUT_FILENO);
  }
  Result<> flush() override {
    printer_.flush();
    return {};
  }

 private:
  void write(std::string_view, const item::Value& tree, const index::StoredItem&) override {
    printer_.print_stored(tree);
    if (printer_.closed()) static_cast<void>(sink_.flush());
  }
  bool wants_tree() const override { return true; }
  ItemPrinter printer_;
};

class NdjsonOutput final : public QueryOutput {
 public:
  NdjsonOutput(const kfl::Filter& filter, ByteSink& sink) : QueryOutput(filter, sink) {}

 private:
  void write(std::string_view json, const item::Value&, const index::StoredItem&) override {
    sink_.write(json);
    sink_.write("\n");
  }
};

class JsonOutput final : public QueryOutput {
 public:
  JsonOutput(const kfl::Filter& filter, ByteSink& sink) : QueryOutput(filter, sink) { sink_.write("["); }
  Result<> finish() override {
    sink_.write(written_ == 0 ? "]\n" : "\n]\n");
    return flush();
  }

 private:
  void write(std::string_view json, const item::Value&, const index::StoredItem&) override {
    sink_.write(written_ == 1 ? "\n" : ",\n");
    sink_.write(json);
  }
};

class CsvOutput final : public QueryOutput {
 public:
  CsvOutput(const kfl::Filter& filter, ByteSink& sink) : QueryOutput(filter, sink) {
    index::append_csv_header(line_);
    sink_.write(line_);
  }

 private:
  void write(std::string_view, const item::Value&, const index::StoredItem& item) override {
    line_.clear();
    index::append_csv(*item.row, line_);
    sink_.write(line_);
  }
  std::string line_;
};

class HarOutput final : public QueryOutput {
 public:
  HarOutput(const kfl::Filter& filter, ByteSink& sink) : QueryOutput(filter, sink) {}
  Result<> finish() override {
    sink_.write(har_.text());
    sink_.write("\n");
    return flush();
  }

 private:
  void write(std::string_view json, const item::Value&, const index::StoredItem&) override {
    if (!har_.add(json)) ++left_out_;
  }
  HarWriter har_;
};

class CurlOutput final : public QueryOutput {
 public:
  CurlOutput(const kfl::Filter& filter, ByteSink& sink) : QueryOutput(filter, sink) {}

 private:
  void write(std::string_view json, const item::Value&, const index::StoredItem&) override {
    if (const auto command = curl_command(json)) {
      sink_.write(*command);
      sink_.write("\n");
    } else {
      ++left_out_;
    }
  }
};

/// The writer of Parquet asks for rows, the reader hands them out: they meet at a short queue.
class ParquetOutput final : public QueryOutput {
 public:
  ParquetOutput(const kfl::Filter& filter, ByteSink& sink, std::string path, std::unique_ptr<TemporaryFolder> folder)
      : QueryOutput(filter, sink), folder_(std::move(folder)), path_(std::move(path)), thread_([this] { work(); }) {}
  ~ParquetOutput() override { static_cast<void>(end()); }
  Result<> flush() override { return {}; }
  Result<> finish() override {
    BALEEN_TRY_DO(end());
    std::ifstream in(path_, std::ios::binary);
    std::string piece(1 << 20, '\0');
    while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0)
      sink_.write(std::string_view(piece).substr(0, static_cast<size_t>(in.gcount())));
    return sink_.flush();
  }

 private:
  static constexpr size_t kMostWaiting = 4096;

  void write(std::string_view, const item::Value&, const index::StoredItem& item) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return rows_.size() < kMostWaiting || over_; });
    if (!over_) rows_.push_back(item.row);
    filled_.notify_one();
  }
  void work() {
    const auto outcome = index::write_parquet(path_, [this](index::WholeRow& row) {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return !rows_.empty() || over_; });
      if (rows_.empty()) return false;
      row = std::move(*rows_.front());
      rows_.pop_front();
      room_.notify_one();
      return true;
    });
    const std::lock_guard lock(mutex_);
    outcome_ = outcome;
    over_ = true;
    room_.notify_one();
  }
  Result<> end() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
      filled_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
    return outcome_;
  }

  std::unique_ptr<TemporaryFolder> folder_;
  std::string path_;
  std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::deque<std::shared_ptr<index::WholeRow>> rows_;
  bool over_ = false;
  Result<> outcome_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<QueryOutput>> QueryOutput::open(ItemFormat format, const kfl::Filter& filter, ByteSink& sink) {
  std::unique_ptr<QueryOutput> out;
  switch (format) {
    case ItemFormat::kTable: out = std::make_unique<TableOutput>(filter, sink); break;
    case ItemFormat::kNdjson: out = std::make_unique<NdjsonOutput>(filter, sink); break;
    case ItemFormat::kJson: out = std::make_unique<JsonOutput>(filter, sink); break;
    case ItemFormat::kCsv: out = std::make_unique<CsvOutput>(filter, sink); break;
    case ItemFormat::kHar: out = std::make_unique<HarOutput>(filter, sink); break;
    case ItemFormat::kCurl: out = std::make_unique<CurlOutput>(filter, sink); break;
    case ItemFormat::kParquet: {
      auto folder = std::make_unique<TemporaryFolder>();
      BALEEN_TRY(const std::string path, folder->path());
      out = std::make_unique<ParquetOutput>(filter, sink, path + "/items.parquet", std::move(folder));
      break;
    }
  }
  return out;
}

bool QueryOutput::add(const index::StoredItem& item) {
  if (!filter_.redacts() && !wants_tree()) {
    ++written_;
    write(item.json, {}, item);
    return !sink_.closed();
  }
  Arena arena;
  const auto root = item::parse_json(item.json, arena);
  if (!root) return true;
  ++written_;
  if (!filter_.redacts()) {
    write(item.json, *root, item);
    return !sink_.closed();
  }
  const item::Value shown = filter_.apply_json(*root, arena).record;
  std::string text;
  item::append_json(shown, text);
  if (item.row) {
    redact_columns(*item.row, *root, shown);
    item.row->json = text;
  }
  write(text, shown, item);
  return !sink_.closed();
}

void redact_columns(index::ItemRow& row, const item::Value& before, const item::Value& after) {
  const item::Protocol* card = card_of(before);
  const auto changed = [&](std::string_view path) {
    return !path.empty() && item::display(item::at_path(before, path)) != item::display(item::at_path(after, path));
  };
  const auto put = [&](std::string& column, std::string_view path) {
    if (changed(path)) column = item::display(item::at_path(after, path));
  };
  put(row.node, "node.name");
  put(row.stream, "stream");
  put(row.id, "id");
  for (const auto& [side, ip, name, name_space, pod, service, process] :
       {std::tuple("src", &row.src_ip, &row.src_name, &row.src_namespace, &row.src_pod, &row.src_service,
                   &row.src_process),
        std::tuple("dst", &row.dst_ip, &row.dst_name, &row.dst_namespace, &row.dst_pod, &row.dst_service,
                   &row.dst_process)}) {
    const std::string end = std::string(side) + ".";
    put(*ip, end + "ip");
    put(*name, end + "name");
    put(*name_space, end + "namespace");
    put(*pod, end + "pod.metadata.name");
    put(*service, end + "service.metadata.name");
    put(*process, end + "processName");
  }
  if (changed("src.port")) row.src_port = 0;
  if (changed("dst.port")) row.dst_port = 0;
  put(row.host, "request.headers.host");
  put(row.error, "error.msg");
  // A message that goes either way says the same of itself on the other side: either will do.
  const auto put_shown = [&](std::string& column, std::string_view path) {
    put(column, path);
    if (path.starts_with("request.")) put(column, "response." + std::string(path.substr(8)));
  };
  if (card == nullptr) return;
  put_shown(row.method, card->method_path);
  put_shown(row.path, card->summary_path);
  const std::string status = row.status_text;
  put_shown(row.status_text, card->status_path);
  if (row.status_text != status) row.status = -1;
}

}  // namespace baleen::cmd
