#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "index/parquet.h"

// How fast items become Parquet, on one thread: rows as an HTTP service makes them, with the whole item as JSON.

namespace baleen::index {
namespace {

/// `extra`: bytes of JSON that are like nothing else, as bodies are.
ItemRow row_at(uint64_t n, size_t extra, std::minstd_rand& random) {
  ItemRow r;
  r.time_ns = int64_t{1'767'225'600'000'000'000} + static_cast<int64_t>(n * 1'000'003);
  r.elapsed_us = static_cast<int64_t>(random() % 20'000);
  r.request_size = 180, r.response_size = static_cast<int64_t>(random() % 40'000);
  r.index = static_cast<int64_t>(n % 8);
  r.src_port = 32'768 + static_cast<int64_t>(n / 8 % 28'000), r.dst_port = 80;
  r.status = n % 50 == 0 ? 500 : 200;
  r.id = fmt::format("node-1/{:012}.pcap-{}", n / 8, n % 8);
  r.stream = fmt::format("{:012}.pcap", n / 8);
  r.node = "node-1", r.protocol = "http", r.abbreviation = "HTTP", r.version = "1.1";
  r.src_ip = fmt::format("10.0.1.{}", n / 8 % 40), r.src_name = r.src_pod = fmt::format("cart-{}", n / 8 % 40);
  r.dst_ip = "10.0.2.7", r.dst_name = r.dst_service = "catalogue", r.src_namespace = r.dst_namespace = "shop";
  r.method = "GET", r.path = fmt::format("/catalogue/{}", random() % 5'000), r.host = "catalogue";
  r.status_text = fmt::format("{}", r.status);
  r.json = fmt::format(
      R"({{"id":"{}","timestamp":{},"elapsedTime":{},"protocol":{{"name":"http","version":"1.1","abbr":"HTTP"}},)"
      R"("src":{{"ip":"{}","port":"{}","name":"{}","namespace":"shop"}},"dst":{{"ip":"10.0.2.7","port":"80","name":"catalogue",)"
      R"("namespace":"shop"}},"request":{{"method":"GET","path":"{}","httpVersion":"HTTP/1.1","headers":{{"Host":"catalogue",)"
      R"("User-Agent":"Go-http-client/1.1","Accept-Encoding":"gzip","X-Request-Id":"{:08x}{:08x}"}}}},)"
      R"("response":{{"status":{},"statusText":"OK","headers":{{"Content-Type":"application/json","Content-Length":"{}",)"
      R"("Date":"Thu, 01 Jan 2026 00:00:00 GMT","Server":"nginx"}},"body":")",
      r.id, r.time_ns / 1'000'000, r.elapsed_us, r.src_ip, r.src_port, r.src_name, r.path, random(), random(), r.status,
      r.response_size);
  for (size_t i = 0; i < extra; i += 8) r.json += fmt::format("{:08x}", random());
  r.json += "\"}}";
  return r;
}

void write_items(benchmark::State& state) {
  constexpr size_t kSeeds = 20'000;
  std::minstd_rand random;
  std::vector<ItemRow> seeds;
  size_t bytes = 0;
  for (size_t n = 0; n < kSeeds; ++n) {
    seeds.push_back(row_at(n, static_cast<size_t>(state.range(1)), random));
    bytes += seeds.back().json.size();
  }
  const auto items = static_cast<size_t>(state.range(0));
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("parquet_bench.{}.parquet", ::getpid())).string();
  for (auto _ : state) {
    size_t n = 0;
    const auto next = [&](ItemRow& row) {
      if (n == items) return false;
      row = seeds[n % kSeeds];
      row.time_ns += static_cast<int64_t>(n / kSeeds) * 20'000'000'000;
      ++n;
      return true;
    };
    if (const auto written = write_parquet(path, next, {}, "packets"); !written)
      return state.SkipWithError(written.error().message.c_str());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * items));
  state.counters["json_bytes"] = static_cast<double>(bytes) / kSeeds;
  state.counters["file_bytes_per_item"] =
      static_cast<double>(std::filesystem::file_size(path)) / static_cast<double>(items);
  std::filesystem::remove(path);
}
BENCHMARK(write_items)->Args({50'000, 0})->Args({50'000, 1024})->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace baleen::index
